"""A healthy heart that nothing was drawn for: what tests of simulated ECGs change one thing of."""

from simulator.physiology import Physiology, lv_mass_g
from simulator.segments import NORMAL_MOTION

HEALTHY = Physiology(
    age_years=50.0, sex="male", height_cm=175.0, weight_kg=77.0, rhythm="sinus", conduction="normal",
    heart_rate_bpm=68.0, cause="none", segment_motion=NORMAL_MOTION,
    lvef_percent=62.0, lvedv_ml=106.0, lvesv_ml=40.3, septum_cm=0.9, posterior_wall_cm=0.9,
    lv_mass_g=lv_mass_g(106.0, 0.9, 0.9), la_volume_index=26.0, rv_basal_cm=3.3, tapse_cm=2.3, rv_dysfunction=0,
    pasp_mmhg=25.0, tr_velocity_m_s=2.2, aortic_stenosis=0, aortic_regurgitation=0, mitral_regurgitation=0,
    tricuspid_regurgitation=0, pulmonary_regurgitation=0, effusion=0, infarct="none", site=0,
)  # fmt: skip
