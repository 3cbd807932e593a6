"""Which patches of an ECG speak for what is said of it: integrated gradients and occlusion, behind one signature.

Both take a patch away by putting the record's own zero in its place: the median of its lead over all windows, where a
trace lies between the beats. Settings are constants: they were written down before anything was measured with them.

Letters in names: B batch, W windows, L leads, N samples, P patches per lead, F features, D embedding, T targets,
K windows or points of a path that are encoded together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone uses

from models.lvef_number import LvefNumberHead
from models.probe_heads import ProbeHeads
from models.towers import EcgTower

Method = Literal["integrated_gradients", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
STEPS = 64
"""Points of the path of integrated gradients. On four ECGs and the demo bundle maps then missed their sum by 0.5 of the
log-odds and 1.1 points of LVEF at most (128: 0.7 and 0.8; 32: 0.8 and 2.7): the attention turns within a few steps."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each patch adds to each target, in the target's unit; against it where negative.

    targets: of `lvef_lowest` and `shd` (log-odds of the probability that is served), `lvef_percent` (percentage
    points, before they are clipped to 0..100) and `match` (cosine with the study), those that could be asked.
    map_BTWLP: float32. Those of integrated gradients sum to value_BT - zero_BT; occlusion promises no sum.
    value_BT, zero_BT: the targets of the ECG, and of its zero. patch_s_P: where in its window a patch begins, in
    seconds; it lasts until the next, the last one until the window's end.
    """

    targets: tuple[str, ...]
    map_BTWLP: NDArray[np.float32]
    value_BT: NDArray[np.float32]
    zero_BT: NDArray[np.float32]
    patch_s_P: NDArray[np.float64]


class Explainer:
    """A tower with its heads, asked for maps. One thread at a time; the modules stay as they are."""

    def __init__(
        self,
        tower: EcgTower,
        heads: ProbeHeads | None,
        number_head: LvefNumberHead | None,
        *,
        rate_hz: float,
        rows: int,
    ) -> None:
        """On the device of the tower. `rows`: how many windows are encoded at a time, with gradients a quarter."""
        self.tower = tower
        self.heads = heads
        self.number_head = number_head
        self.rows = rows
        self.sizes = tower.ecg_encoder.sizes
        self.patch_s_P = np.arange(self.sizes.patches_per_lead) * self.sizes.patch_samples / rate_hz

    def targets(self, *, match: bool) -> tuple[str, ...]:
        """What can be asked of these heads; `match` where the embedding of a study is given."""
        names = ["lvef_lowest"] if self.heads is not None and self.heads.classes > 1 else []
        names += ["shd"] if self.heads is not None and self.heads.has_shd else []
        return (*names, *(["lvef_percent"] if self.number_head is not None else []), *(["match"] if match else []))

    def attribution(
        self,
        windows_BWLN: NDArray[np.float32],
        study_BD: NDArray[np.float32] | None = None,
        *,
        method: Method = "integrated_gradients",
        asked: Collection[str] | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> Attribution:
        """Maps of every target for prepared windows (B, W, L, N), and for the match with a study each (unit, (B, D)).

        asked: of these targets alone, in the order of `targets`. go_on: called between two points of the path, or two
        chunks of what is taken away; what it raises ends the work, which takes seconds.

        An ECG is worked on by itself: its map does not depend on the others. Cost, in encoded windows an ECG:
        occlusion L * P * W + W, whatever is asked; integrated gradients `STEPS` * W forwards, and as many backwards
        for each target. ValueError for other shapes, numbers that are not finite, and where there is nothing to ask.
        """
        if windows_BWLN.ndim != 4 or 0 in windows_BWLN.shape or not np.isfinite(windows_BWLN).all():
            raise ValueError(
                f"ECG windows must be finite and (batch, windows, leads, samples), not {windows_BWLN.shape}"
            )
        if study_BD is not None and (study_BD.ndim != 2 or len(study_BD) != len(windows_BWLN)):
            raise ValueError("there must be one study for each ECG")
        targets = self.targets(match=study_BD is not None)
        if not targets:
            raise ValueError("these heads say nothing that could be explained")
        which = [t for t, target in enumerate(targets) if asked is None or target in asked]
        if not which:
            raise ValueError("these heads do not say what is asked")
        work = self._integrated if method == "integrated_gradients" else self._occluded
        maps, values, zeros = [], [], []
        # Whoever calls may be in inference mode, whose tensors take no gradient.
        with torch.inference_mode(mode=False):
            for number, windows in enumerate(windows_BWLN):
                windows_WLN = self._tensor(windows)
                study_D = None if study_BD is None else self._tensor(study_BD[number])
                zero_WLN = own_zero(windows_WLN)
                with torch.no_grad():
                    both_2T = self.said(torch.stack([windows_WLN, zero_WLN]), study_D)[:, which]
                maps.append(work(windows_WLN, zero_WLN, study_D, which, go_on).cpu().numpy())
                values.append(both_2T[0].cpu().numpy())
                zeros.append(both_2T[1].cpu().numpy())
        asked_for = tuple(targets[t] for t in which)
        return Attribution(asked_for, np.stack(maps), np.stack(values), np.stack(zeros), self.patch_s_P)

    def said(self, windows_KWLN: Tensor, study_D: Tensor | None, visible_KV: Tensor | None = None) -> Tensor:
        """The targets (K, T) of ECGs of W windows each; of the patches `visible_KV` alone where they are given."""
        K, W = windows_KWLN.shape[:2]
        placed = self.tower.ecg_encoder.placed(windows_KWLN.flatten(0, 1), visible_KV)
        return self._said_of(placed.view(K, W, *placed.shape[1:]), study_D)

    def _said_of(self, placed_KWTD: Tensor, study_D: Tensor | None) -> Tensor:
        """The targets (K, T) of what goes into the blocks, differentiable."""
        K, W = placed_KWTD.shape[:2]
        features = self.tower.gathered(self.tower.ecg_encoder.mix(placed_KWTD.flatten(0, 1)))
        aligned = None if study_D is None else self.tower.ecg_alignment_global_token(features).view(K, W, -1)
        return self._targets_of(features.view(K, W, -1), aligned, study_D)

    def _targets_of(self, features_KWF: Tensor, aligned_KWD: Tensor | None, study_D: Tensor | None) -> Tensor:
        """As `Bundle.embed_ecgs` joins windows: features averaged, and unit embeddings, made unit again."""
        features_KF = features_KWF.mean(dim=1)
        found = [] if self.heads is None else log_odds(self.heads, features_KF)
        if self.number_head is not None:
            found.append(self.number_head.linear(features_KF)[:, 0])
        if aligned_KWD is not None and study_D is not None:
            found.append(F.normalize(F.normalize(aligned_KWD, dim=2).mean(dim=1), dim=1) @ study_D)
        return torch.stack(found, dim=1)

    def _integrated(
        self,
        windows_WLN: Tensor,
        zero_WLN: Tensor,
        study_D: Tensor | None,
        which: Sequence[int],
        go_on: Callable[[], None],
    ) -> Tensor:
        """Integrated gradients (Sundararajan et al. 2017) of embedded patches, from those of the zero: (T, W, L, P).

        Not of samples, whose way from a flat patch to a wave passes the LayerNorm of a patch where it turns fastest.
        """
        at_K = self._tensor((np.arange(STEPS) + 0.5) / STEPS)
        with torch.no_grad():
            start_WTD = self.tower.ecg_encoder.placed(zero_WLN)
            way_WTD = self.tower.ecg_encoder.placed(windows_WLN) - start_WTD
        rows = max(1, self.rows // (4 * len(windows_WLN)))
        gradient_TWTD = way_WTD.new_zeros(len(which), *way_WTD.shape)
        for first in range(0, STEPS, rows):
            go_on()
            points_KWTD = start_WTD + at_K[first : first + rows, None, None, None] * way_WTD
            with torch.enable_grad():
                points_KWTD.requires_grad_()
                mean_T = self._said_of(points_KWTD, study_D).sum(dim=0) / STEPS
                for row, t in enumerate(which):
                    (gradient_KWTD,) = torch.autograd.grad(mean_T[t], points_KWTD, retain_graph=t != which[-1])
                    gradient_TWTD[row] += gradient_KWTD.sum(dim=0)
        map_TWQ = (gradient_TWTD * way_WTD).sum(dim=3)[:, :, 1:]  # without CLS, which is the same at both ends
        return map_TWQ.reshape(*map_TWQ.shape[:2], self.sizes.leads, -1)

    @torch.no_grad()
    def _occluded(
        self,
        windows_WLN: Tensor,
        zero_WLN: Tensor,
        study_D: Tensor | None,
        which: Sequence[int],
        go_on: Callable[[], None],
    ) -> Tensor:
        """What a target loses when one patch becomes zero: (T, W, L, P). Only that patch's window is encoded again."""
        sizes, tower = self.sizes, self.tower
        W, Q, S = len(windows_WLN), sizes.leads * sizes.patches_per_lead, sizes.patch_samples

        def encoded(windows_KLN: Tensor) -> tuple[Tensor, Tensor | None]:
            return (tower.features(windows_KLN), None) if study_D is None else tower(windows_KLN)

        features_WF, aligned_WD = encoded(windows_WLN)
        whole_1T = self._targets_of(features_WF[None], None if aligned_WD is None else aligned_WD[None], study_D)
        lost_TWQ = windows_WLN.new_zeros(whole_1T.shape[1], W, Q)
        patch_of = torch.arange(Q, device=windows_WLN.device)
        for w in range(W):
            whole_QS, zero_QS = windows_WLN[w].reshape(Q, S), zero_WLN[w].reshape(Q, S)
            for gone_K in torch.split(patch_of, self.rows):
                go_on()
                gone_KQ1 = (gone_K[:, None] == patch_of)[:, :, None]
                features_KF, aligned_KD = encoded(
                    torch.where(gone_KQ1, zero_QS, whole_QS).view(-1, sizes.leads, sizes.window_samples)
                )
                aligned_KWD = None
                if aligned_WD is not None and aligned_KD is not None:
                    aligned_KWD = _with_row(aligned_WD, w, aligned_KD)
                left_KT = self._targets_of(_with_row(features_WF, w, features_KF), aligned_KWD, study_D)
                lost_TWQ[:, w, gone_K] = (whole_1T - left_KT).T
        return lost_TWQ[which].view(-1, W, sizes.leads, sizes.patches_per_lead)

    def _tensor(self, array: NDArray[np.floating]) -> Tensor:
        on_cpu = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        return on_cpu.to(next(self.tower.parameters()).device)


def own_zero(windows_WLN: Tensor) -> Tensor:
    """The level of each lead, over all windows, in every sample."""
    level_L = windows_WLN.movedim(1, 0).flatten(1).median(dim=1).values
    return level_L[None, :, None].expand_as(windows_WLN)


def log_odds(heads: ProbeHeads, features_BF: Tensor) -> list[Tensor]:
    """Log-odds (B,) of the lowest LVEF class and of SHD, those there are: of the very probabilities of `ProbeHeads`.

    Not from the probabilities themselves, which in float32 are 1 long before their odds are infinite.
    """
    logits = heads.linear(features_BF)
    lvef_BC, yes_no = logits[:, : heads.classes], logits[:, heads.classes : heads.classes + heads.yes_no]
    found = [_odds_of_first(lvef_BC, 1)] if heads.classes > 1 else []
    if not heads.has_shd:
        return found
    shd_B = yes_no[:, 0]
    if heads.shd_covers_flags:
        flags = list(yes_no[:, 1 : 1 + heads.flags].unbind(dim=1))
        for number, wholly, partly in heads.about_lvef:
            flags[number] = flags[number].clamp(_odds_of_first(lvef_BC, wholly), _odds_of_first(lvef_BC, partly))
        shd_B = torch.stack([shd_B, *flags]).amax(dim=0)
    return [*found, shd_B]


def _odds_of_first(logits_BC: Tensor, count: int) -> Tensor:
    """Log-odds that it is one of the first `count` classes."""
    if count in (0, logits_BC.shape[1]):
        return logits_BC.new_full((len(logits_BC),), torch.inf if count else -torch.inf)
    return logits_BC[:, :count].logsumexp(dim=1) - logits_BC[:, count:].logsumexp(dim=1)


def _with_row(rows_WF: Tensor, w: int, row_KF: Tensor) -> Tensor:
    """K copies of the rows, each with its own at place w."""
    copies_KWF = rows_WF.repeat(len(row_KF), 1, 1)
    copies_KWF[:, w] = row_KF
    return copies_KWF
