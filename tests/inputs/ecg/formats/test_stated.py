"""What a file of arrays states about an ECG is looked up by where it stands."""

from __future__ import annotations

from collections.abc import Iterator

from inputs.ecg.formats.stated import Contents, Fact, gains_stated


class Counted(tuple[Fact, ...]):
    """Facts that count how often they are gone through."""

    times = 0

    def __iter__(self) -> Iterator[Fact]:
        Counted.times += 1
        return super().__iter__()


def test_facts_are_gone_through_once_for_any_number_of_arrays():
    facts = Counted(Fact((f"g{place}", name), (200.0,)) for place in range(300) for name in ("gain", "fs"))
    contents = Contents("HDF5", "hdf5", (), facts)
    Counted.times = 0
    for place in range(300):
        assert list(contents.around((f"g{place}", "ecg"), {"fs"})) == [facts[2 * place + 1]]
        assert gains_stated(contents, (f"g{place}", "ecg"))
    assert Counted.times == 1


def test_facts_of_an_array_go_before_those_beside_it_and_those_above():
    own, beside, about, above = facts = (
        Fact(("a", "ecg", "fs"), (1.0,)),
        Fact(("a", "fs"), (2.0,)),
        Fact(("a", "metadata", "fs"), (3.0,)),
        Fact(("fs",), (4.0,)),
    )
    for left_out, found in ((0, [own]), (1, [beside, about]), (3, [above])):
        contents = Contents("HDF5", "hdf5", (), facts[left_out:])
        assert list(contents.around(("a", "ecg"), {"fs"})) == found
