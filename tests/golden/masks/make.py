"""Metrics of surface-distance and MONAI on masks by formula, as JSON."""
import json, sys, warnings
import numpy as np
import torch
np.Inf, np.NaN = np.inf, np.nan  # surface-distance 0.1 was written for NumPy 1
import surface_distance as sd
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)

warnings.filterwarnings("ignore")
SHAPE = (20, 24, 16)


def ellipsoid(center, radii):
    axes = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    a, b, c = [r * r for r in radii]
    x, y, z = [(axis - at) ** 2 for axis, at in zip(axes, center)]
    return x * b * c + y * a * c + z * a * b <= a * b * c  # whole numbers


BALLS = [[[9, 11, 7], [6, 8, 5]], [[10, 12, 8], [6, 7, 5]], [[2, 3, 2], [5, 6, 4]], [[3, 3, 2], [5, 5, 4]], [[9, 11, 7], [3, 3, 2]]]
one = [ellipsoid(*ball) for ball in BALLS]
hollow, nothing = one[0] & ~one[4], np.zeros(SHAPE, bool)
pairs = {
    "apart": (one[0], one[1], [1, 1, 1]),
    "in millimeters": (one[0], one[1], [0.625, 0.625, 1.25]),
    "thick slices at the border": (one[2], one[3], [1.5, 1.5, 10]),
    "hollow": (hollow, one[1], [1, 1, 1]),
    "far": (one[3], one[4], [1, 1, 1]),
    "no prediction": (nothing, one[1], [1, 1, 1]),
    "no reference": (one[0], nothing, [1, 1, 1]),
    "neither": (nothing, nothing, [1, 1, 1]),
}
number = lambda value: None if not np.isfinite(value) else float(value)
out = []
for name, (p, r, spacing) in pairs.items():
    hot = lambda mask: torch.from_numpy(mask[None, None].astype(np.float32))
    P, R = hot(p), hot(r)
    d = sd.compute_surface_distances(r, p, spacing)
    r_to_p, p_to_r = sd.compute_average_surface_distance(d)
    own = dict(include_background=True, spacing=[float(width) for width in spacing])
    row = {
        "name": name,
        "spacing": spacing,
        "monai": {
            "dice": compute_dice(P, R, include_background=True, ignore_empty=False).item(),
            "jaccard": compute_iou(P, R, include_background=True, ignore_empty=False).item(),
            "hd": number(compute_hausdorff_distance(P, R, **own).item()),
            "hd95": number(compute_hausdorff_distance(P, R, percentile=95, **own).item()),
            "asd": number(compute_average_surface_distance(P, R, **own).item()),
            **{
                f"nsd{t}": number(compute_surface_dice(P, R, class_thresholds=[t], **own).item()) for t in (1, 2)
            },
        },
        "surface_distance": {
            "dice": number(sd.compute_dice_coefficient(r, p)),
            "hd": number(sd.compute_robust_hausdorff(d, 100)),
            "hd95": number(sd.compute_robust_hausdorff(d, 95)),
            "asd": number(p_to_r),
            **{f"nsd{t}": number(sd.compute_surface_dice_at_tolerance(d, t)) for t in (1, 2)},
        },
    }
    out.append(row)
json.dump({"shape": SHAPE, "balls": BALLS, "pairs": out}, open(sys.argv[1], "w"), indent=1)
