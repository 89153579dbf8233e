#!/usr/bin/env python3
"""Writes monai.json beside this file: what MONAI's detection parts and sliding window compute for inputs made by a formula.

  make_monai.py --monai FOLDER      (a checkout of MONAI; needs torch)

The formula is that of the reference cases (fill): float32-exact values from a name and an index.
"""
import argparse, json, os, sys
import numpy as np
import torch
import torch.nn.functional as F

ap = argparse.ArgumentParser()
ap.add_argument("--monai", required=True)
args = ap.parse_args()
sys.path.insert(0, args.monai)

try:
    import torchvision  # noqa: F401
except RuntimeError:     # a wheel for another torch: its compiled ops are missing, and none is needed here
    for k in [k for k in sys.modules if k.startswith("torchvision")]:
        del sys.modules[k]
    library = torch.library.Library("torchvision", "DEF")
    for op in ("nms", "qnms"):
        library.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector  # noqa: E402
from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher  # noqa: E402
from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape  # noqa: E402
from monai.apps.detection.utils.box_coder import BoxCoder  # noqa: E402
from monai.data.box_utils import batched_nms  # noqa: E402
from monai.inferers import sliding_window_inference  # noqa: E402

U = np.uint64


def fill(name, shape, scale=1.0):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = U(h) + np.arange(1, int(np.prod(shape)) + 1, dtype=U) * U(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U(30))) * U(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U(27))) * U(0x94D049BB133111EB)
        z = z ^ (z >> U(31))
    u = (z >> U(40)).astype(np.float64) / 2.0 ** 24
    return torch.from_numpy((2 * u - 1).astype(np.float32) * np.float32(scale)).reshape(shape)


def num(t):
    return [float(f"{v:.9g}") for v in t.detach().double().flatten().tolist()]


def fingerprint(name, t):
    t = t.detach().double()
    return {"norm": float(f"{t.norm().item():.9g}"),
            "dot": float(f"{(t.flatten() * fill(name, (t.numel(),)).double()).sum().item():.9g}")}


IMAGE, LEVELS, ANCHORS, CLASSES = (64, 64, 32), [(16, 16, 16), (8, 8, 8), (4, 4, 4)], 3, 2
SHAPES, SCALES = [[6, 8, 4], [8, 6, 5], [10, 10, 6]], [1, 2, 4]
generator = AnchorGeneratorWithAnchorShape(SCALES, SHAPES)
out = {"image": IMAGE, "levels": LEVELS, "classes": CLASSES, "shapes": SHAPES, "scales": SCALES}

maps = [torch.zeros((2, 1) + level) for level in LEVELS]
anchors = generator(torch.zeros((2, 1) + IMAGE), maps)[0]
some = [0, 1, 2, 3, 47, 48, 768, 5000, 12287, 12288, 12289, 13823, 13824, len(anchors) - 1]
out["anchors"] = {"count": len(anchors), "some": some, "boxes": num(anchors[some]),
                  "print": fingerprint("anchors/probe", anchors)}

# Objects by centre and half size, off the grid; two overlap, one reaches over the border of the anchors' grid.
centres = (fill("boxes/centre", (6, 3)) + 1) / 2 * torch.tensor([50.0, 50.0, 24.0]) + torch.tensor([7.0, 7.0, 4.0])
halves = (fill("boxes/half", (6, 3)) + 1.4) * torch.tensor([3.0, 3.0, 2.0])
centres[5] = centres[4] + torch.tensor([2.3, -1.7, 0.9])
boxes = torch.cat([centres - halves, centres + halves], 1)
labels = torch.tensor([0, 1, 1, 0, 1, 0])
out["boxes"], out["labels"] = num(boxes), labels.tolist()

positions = [int(np.prod(level)) for level in LEVELS]
out["atss"] = []
for candidates, centre in ((4, False), (4, True), (9, False), (1, False)):
    _, matches = ATSSMatcher(candidates, center_in_gt=centre)(boxes, anchors, positions, ANCHORS)
    pairs = [[int(a), int(matches[a])] for a in torch.where(matches >= 0)[0]]
    out["atss"].append({"candidates": candidates, "centre_in_box": centre, "pairs": pairs})

pairs = out["atss"][0]["pairs"]
out["coder"] = []
for weights in ([1.0] * 6, [2.0, 2.0, 1.0, 1.0, 1.0, 0.5]):
    coder = BoxCoder(weights)
    chosen = [p for p in pairs][:8]
    a, b = anchors[[p[0] for p in chosen]], boxes[[p[1] for p in chosen]]
    codes = fill("codes", (8, 6), 1.5)
    codes[0, 3:] = torch.tensor([4.0, 5.0, 30.0])
    out["coder"].append({"weights": weights, "pairs": chosen, "encoded": num(coder.encode_single(b, a)),
                         "codes": num(codes), "decoded": num(coder.decode_single(codes[:len(chosen)], a))})

c = fill("nms/centre", (80, 3), 6.0) + 20
h = fill("nms/half", (80, 3), 2.0) + 4
nms = torch.cat([c - h, c + h], 1)
scores = (fill("nms/score", (80,)) + 1) / 2
kinds = (fill("nms/kind", (80,)) > 0).long()
out["nms"] = {"boxes": num(nms), "scores": num(scores), "kinds": kinds.tolist(),
              "kept": [{"overlap": t, "most": m, "indices": batched_nms(nms, scores, kinds, t, m).tolist()}
                       for t, m in ((0.22, 300), (0.22, 7), (0.5, 300))]}


class Maps(torch.nn.Module):
    """A network whose result is the formula."""
    spatial_dims, num_classes, size_divisible, num_anchors = 3, CLASSES, (16, 16, 8), ANCHORS
    cls_key, box_reg_key = "classification", "box_regression"


def head_maps(name, batch):
    """The joined maps, and the same as MONAI's dictionary of maps a level."""
    counts = [ANCHORS * CLASSES * p for p in positions] + [ANCHORS * 6 * p for p in positions]
    joined = fill(name, (batch, sum(counts)))
    joined[:, :sum(counts[:3])] *= 3
    joined[:, sum(counts[:3]):] *= 0.5
    joined.requires_grad_()
    parts = joined.split(counts, 1)
    shaped = [p.reshape((batch, -1) + LEVELS[i % 3]) for i, p in enumerate(parts)]
    return joined, {"classification": shaped[:3], "box_regression": shaped[3:]}


detector = RetinaNetDetector(Maps(), generator)
detector.set_box_selector_parameters(score_thresh=0.9, topk_candidates_per_level=40, nms_thresh=0.22, detections_per_img=30)
joined, heads = head_maps("select/maps", 1)
flat = {k: detector._reshape_maps(v) for k, v in heads.items()}
with torch.no_grad():
    found = detector.postprocess_detections({k: v.detach() for k, v in flat.items()}, [anchors], [list(IMAGE)], positions)[0]
out["select"] = {"score": 0.9, "per_level": 40, "overlap": 0.22, "per_image": 30, "boxes": num(found["boxes"]),
                 "scores": num(found["labels_scores"]), "labels": found["labels"].tolist()}

# Pool 1: the hardest negatives themselves are drawn, so that there is no chance in it.
detector.set_atss_matcher(4, False)
detector.set_hard_negative_sampler(128, 0.3, min_neg=16, pool_size=1)
joined, heads = head_maps("loss/maps", 2)
flat = {k: detector._reshape_maps(v) for k, v in heads.items()}
targets = [{"boxes": boxes[:3], "labels": labels[:3]}, {"boxes": torch.zeros(0, 6), "labels": torch.zeros(0).long()}]
losses = detector.compute_loss(flat, targets, [anchors, anchors], positions)
(losses["classification"] + losses["box_regression"]).backward()
matched = detector.compute_anchor_matched_idxs([anchors], targets[:1], positions)[0]
assert (matched >= 0).sum() <= 38, "more positives than are drawn: the loss would be a matter of chance"
out["loss"] = {"objects": 3, "samples": 128, "positive_fraction": 0.3, "least_negatives": 16,
               "matched": int((matched >= 0).sum()), "classification": losses["classification"].item(),
               "box_regression": losses["box_regression"].item(), "gradient": fingerprint("loss/probe", joined.grad)}

weight, bias = fill("window/weight", (2, 1, 3, 3, 3)), fill("window/bias", (2,))
out["windows"] = []
for volume, window, overlap in (((50, 40, 33), (32, 32, 16), 0.25), ((20, 40, 33), (32, 32, 16), 0.5)):
    x = fill("window/volume", (1, 1) + volume)
    y = sliding_window_inference(x, window, 2, lambda v: F.conv3d(v, weight, bias, padding=1), overlap, mode="gaussian")
    out["windows"].append({"volume": volume, "window": window, "overlap": overlap, "first": num(y[0, :, 0, 0, :8]),
                           "print": fingerprint("window/probe", y)})

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "monai.json"), "w") as f:
    json.dump(out, f, separators=(",", ":"))
    f.write("\n")
