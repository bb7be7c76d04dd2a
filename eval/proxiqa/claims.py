"""The claims of ProxIQA that rows can decide."""

from __future__ import annotations

from lossylab.eval.proxiqa import decisions
from lossylab.eval.proxiqa.decisions import COINCIDE, DIFFERENT, NEARLY_SAME, SAME_TIME
from lossylab.eval.report.claims import Claim
from lossylab.losses.proxiqa import UPPER_BOUND

_BELOW = "mean below 0, beyond noise"

CLAIMS = (
    Claim(
        "1a",
        "VMAF_p lowers the VMAF BD-rate against MSE",
        "-23.4 %",
        _BELOW,
        decisions.sign_of_bd_rate("bls_vmaf_p", "vmaf", -1),
    ),
    Claim(
        "1b",
        "VMAF_p raises the PSNR BD-rate",
        "+5.2 %",
        "mean above 0, beyond noise",
        decisions.sign_of_bd_rate("bls_vmaf_p", "psnr", +1),
    ),
    Claim(
        "2a",
        "SSIM_p lowers the SSIM BD-rate",
        "-21.3 %",
        _BELOW,
        decisions.sign_of_bd_rate("bls_ssim_p", "ssim", -1),
    ),
    Claim(
        "2b",
        "MSIM_p lowers the MS-SSIM BD-rate",
        "-21.8 %",
        _BELOW,
        decisions.sign_of_bd_rate("bls_ms_ssim_p", "ms_ssim", -1),
    ),
    Claim(
        "3a",
        "With a frozen proxy its score runs toward 100, VMAF does not follow",
        "Fig. 7(a)",
        f"at the end proxy above {UPPER_BOUND - DIFFERENT:g}, {DIFFERENT:g} above VMAF, "
        "and rose more",
        decisions.frozen_proxy_runs_away,
    ),
    Claim(
        "3b",
        "Alternating, proxy and true score coincide",
        "Fig. 7(b)",
        f"mean gap below {COINCIDE:g} points at the end",
        decisions.alternating_proxy_follows,
    ),
    Claim(
        "4",
        "SSIM_p and SSIM + L_d give nearly the same SSIM BD-rate",
        "-19.0 %, -22.4 %",
        f"at most {NEARLY_SAME:g} points of difference",
        decisions.nearly_the_same,
    ),
    Claim(
        "5a",
        "BMSHJ beats BLS by every metric, both at MSE",
        "-10.2 % to -25.8 %",
        f"all: {_BELOW}",
        decisions.saves_by_every_metric("bmshj_mse", "bls_mse"),
    ),
    Claim(
        "5b",
        "VMAF_p helps BMSHJ too",
        "-25.8 % and -47.1 % against BLS",
        f"{_BELOW}, against BMSHJ MSE",
        decisions.sign_of_bd_rate("bmshj_vmaf_p", "vmaf", -1, "bmshj_mse"),
    ),
    Claim(
        "6a",
        "JPEG is worse than all other classical codecs",
        "Table II",
        "by every metric",
        decisions.jpeg_is_worst,
        decisions.classical_scale,
    ),
    Claim(
        "6b",
        "JPEG 2000, HEVC 4:4:4 and 4:2:0 are ordered as Table II implies",
        "Table II",
        "all 15 signs",
        decisions.order_of_classical,
        decisions.classical_scale,
    ),
    Claim(
        "6c",
        "Not of the paper: BD-rates against JPEG are those measured independently",
        "none",
        "within 1.5 points",
        decisions.reference_agrees,
        decisions.classical_scale,
    ),
    Claim(
        "7a",
        "Encoding time of learned codecs does not depend on the rate, HEVC's does",
        "Fig. 12",
        f"slowest over fastest rate below, HEVC above {SAME_TIME:g}",
        decisions.time_is_independent_of_rate,
    ),
    Claim(
        "7b",
        "Exports trained for MSE and VMAF_p take the same time",
        "Table V",
        f"within a factor of {SAME_TIME:g}",
        decisions.same_time,
    ),
)
