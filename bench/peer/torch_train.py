#!/usr/bin/env python3
"""PyTorch's side of `isthmus bench compare` and of the GPU check: times whole training steps and prints one line of JSON.

The step is ours: forward, loss, backward, AdamW, on made-up data that lie in the device's memory. PyTorch gets what makes it
fast: channels-last memory, half precision by autocast where asked for (with f16 a scaled loss), the fused optimizer; on a
CPU an allocator that keeps its pages (the caller sets LD_PRELOAD), on a GPU cuDNN's own choice among its engines by timing,
and torch.compile where asked for. Two-dimensional networks are torchvision's; ConvNet2 and SegResNet are built here, layer by
layer as in our catalogue; RetinaNet is MONAI's, where that is installed.
"""
import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import time

MODELS = ("convnet2", "resnet34", "densenet121", "efficientnet_b0", "segresnet", "retinanet3d")
PYTHON = sys.executable or "this Python"
HALVES = {"bf16": "bfloat16", "f16": "float16"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", choices=("fp32", *HALVES), required=True)
    parser.add_argument("--size", type=int, required=True, help="edge of the image or volume")
    parser.add_argument("--channels", type=int, help="of the image; default 3, of volumes and for convnet2 1")
    parser.add_argument("--classes", type=int, help="default 18, of volumes 14")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--seconds", type=float, default=0, help="as many steps as fit, in place of --steps")
    parser.add_argument("--compile", metavar="MODE", help="torch.compile's mode: default, reduce-overhead, max-autotune")
    o = parser.parse_args()
    volume = o.model in ("segresnet", "retinanet3d")
    o.channels = o.channels or (1 if volume or o.model == "convnet2" else 3)
    o.classes = o.classes or (14 if volume else 18)
    return o


def stop(reason):
    print(reason, file=sys.stderr)
    sys.exit(3)


options = arguments()
os.environ["OMP_NUM_THREADS"] = str(options.threads)
try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as problem:
    stop(f"{PYTHON} has no PyTorch ({problem}); install it there (pip install torch torchvision) or name another Python")


class ConvNet2(nn.Module):
    def __init__(self, channels, classes, size, dropout=0.0):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * (size // 4) * (size // 4), 128)
        self.fc2 = nn.Linear(128, classes)
        self.dropout = dropout

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(F.dropout(x, self.dropout, self.training))


class Residual(nn.Module):
    """Twice group norm, ReLU and a 3x3x3 convolution, and around them the identity."""

    def __init__(self, channels):
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv3d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x):
        y = x
        for norm, conv in zip(self.norms, self.convs):
            y = conv(F.relu(norm(y), inplace=True))
        return x + y


class SegResNet(nn.Module):
    def __init__(self, channels, classes, filters, down=(1, 2, 2, 4), up=(1, 1, 1)):
        super().__init__()
        self.first = nn.Conv3d(channels, filters, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList()
        for level, blocks in enumerate(down):
            width = filters << level
            layers = [] if level == 0 else [nn.Conv3d(width // 2, width, 3, stride=2, padding=1, bias=False)]
            self.encoder.append(nn.Sequential(*layers, *(Residual(width) for _ in range(blocks))))
        self.narrow = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for level, blocks in enumerate(up):
            width = filters << (len(up) - 1 - level)
            self.narrow.append(nn.Conv3d(2 * width, width, 1, bias=False))
            self.decoder.append(nn.Sequential(*(Residual(width) for _ in range(blocks))))
        self.norm = nn.GroupNorm(8, filters)
        self.last = nn.Conv3d(filters, classes, 1)

    def forward(self, x):
        x = self.first(x)
        levels = []
        for stage in self.encoder:
            x = stage(x)
            levels.append(x)
        levels.pop()
        for narrow, stage in zip(self.narrow, self.decoder):
            x = F.interpolate(narrow(x), scale_factor=2, mode="trilinear", align_corners=False)
            x = stage(x + levels.pop())
        return self.last(F.relu(self.norm(x), inplace=True))


def import_torchvision():
    """A torchvision built for GPUs cannot load its operators for detection beside a PyTorch for CPUs. Classifiers use none of
    them, so it is enough that their names are known."""
    names = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision
        return torchvision, names
    except RuntimeError:
        for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        for operator in ("nms", "qnms"):
            names.define(operator + "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        import torchvision
        return torchvision, names


def torchvision_model(name, channels, classes):
    try:
        torchvision, torchvision_model.names = import_torchvision()  # the names live as long as their library
    except ImportError as problem:
        stop(f"{PYTHON} has no torchvision ({problem}), where {name} is from; pip install torchvision there")
    except RuntimeError as problem:
        stop(f"torchvision does not fit PyTorch in {PYTHON}: {problem}; install both from one index")
    model = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    if channels != 3:
        stem, attribute = first_convolution(model)
        old = getattr(stem, attribute)
        setattr(stem, attribute, nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False))
    return model


def first_convolution(module):
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            return module, name
        found = first_convolution(child)
        if found:
            return found
    return None


def retinanet(o):
    """MONAI's detector of lung nodules, with the loss that it trains by."""
    try:
        from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
        from monai.apps.detection.networks.retinanet_network import RetinaNet, resnet_fpn_feature_extractor
        from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
        from monai.networks.nets.resnet import resnet50
    except ImportError as problem:
        stop(f"{PYTHON} has no MONAI ({problem}), where {o.model} is from; not timed")
    anchors = AnchorGeneratorWithAnchorShape(feature_map_scales=(1, 2, 4),
                                             base_anchor_shapes=((6, 8, 4), (8, 6, 5), (10, 10, 6)))
    backbone = resnet50(spatial_dims=3, n_input_channels=o.channels, conv1_t_stride=(2, 2, 1), conv1_t_size=(7, 7, 7))
    features = resnet_fpn_feature_extractor(backbone, spatial_dims=3, pretrained_backbone=False, trainable_backbone_layers=None,
                                            returned_layers=(1, 2))
    network = RetinaNet(spatial_dims=3, num_classes=1, num_anchors=3, feature_extractor=features, size_divisible=(16, 16, 8))
    detector = RetinaNetDetector(network=network, anchor_generator=anchors)
    detector.set_atss_matcher(num_candidates=4, center_in_gt=False)
    detector.set_hard_negative_sampler(batch_size_per_image=64, positive_fraction=0.3, pool_size=20, min_neg=16)
    space = (o.size, o.size, o.size * 5 // 12)
    middle = [n / 2 for n in space]
    radius = min(space) / 16
    box = torch.tensor([[m - radius for m in middle] + [m + radius for m in middle]], device=o.device)
    targets = [{"box": box, "label": torch.zeros(1, dtype=torch.long, device=o.device)} for _ in range(o.batch)]
    images = 2 * torch.rand(o.batch, o.channels, *space, device=o.device) - 1
    detector = detector.to(o.device, memory_format=torch.channels_last_3d).train()
    return detector, images.contiguous(memory_format=torch.channels_last_3d), \
        lambda model, x: sum(model(x, targets).values())


def workload(o):
    """Model, images, and the loss of a model on images."""
    torch.manual_seed(1)
    if o.model == "retinanet3d":
        return retinanet(o)
    if o.model == "segresnet":
        model = SegResNet(o.channels, o.classes, filters=32)
        space, memory = (o.size,) * 3, torch.channels_last_3d
        targets = torch.randint(o.classes, (o.batch, *space), device=o.device)
        loss = nn.CrossEntropyLoss()
    else:
        model = ConvNet2(o.channels, o.classes, o.size) if o.model == "convnet2" else torchvision_model(o.model, o.channels, o.classes)
        space, memory = (o.size,) * 2, torch.channels_last
        targets = (torch.rand(o.batch, o.classes, device=o.device) < 0.1).float()
        loss = nn.BCEWithLogitsLoss()
    images = (2 * torch.rand(o.batch, o.channels, *space, device=o.device) - 1).contiguous(memory_format=memory)
    return model.to(o.device, memory_format=memory).train(), images, lambda model, x: loss(model(x).float(), targets)


def step_of(o):
    """A function that makes one step and returns its loss, and the number of parameters."""
    model, images, loss_of = workload(o)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    kind = torch.device(o.device).type
    half = HALVES.get(o.precision)
    scaler = torch.amp.GradScaler(kind, enabled=o.precision == "f16" and kind == "cuda")
    run = model if o.compile is None else torch.compile(model, mode=None if o.compile == "default" else o.compile)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, dtype=getattr(torch, half)) if half else contextlib.nullcontext():
            loss = loss_of(run, images)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return step, sum(p.numel() for p in model.parameters())


def main(o):
    torch.set_num_threads(o.threads)
    on_gpu = o.device != "cpu"
    if on_gpu and not torch.cuda.is_available():
        stop(f"PyTorch {torch.__version__} in {PYTHON} finds no GPU; not timed")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    step, parameters = step_of(o)
    wait = torch.cuda.synchronize if on_gpu else lambda: None

    def seconds(steps):
        """Of each step on a CPU, where a step has ended when it returns; the mean on a GPU, which is never waited for."""
        wait()
        times, begin = [], time.perf_counter()
        for _ in range(steps):
            at = time.perf_counter()
            loss = step()
            times.append(time.perf_counter() - at)
        wait()
        return ([(time.perf_counter() - begin) / steps] if on_gpu else times), float(loss.detach())

    first = sum(seconds(1)[0])
    seconds(max(1, o.warmup - 1))
    if o.seconds:
        o.steps = max(3, int(o.seconds / seconds(1)[0][0]))
    before = resource.getrusage(resource.RUSAGE_SELF)
    times, loss = seconds(o.steps)
    after = resource.getrusage(resource.RUSAGE_SELF)
    ms = [1e3 * t for t in times]
    median = statistics.median(ms)
    print(json.dumps({
        "model": o.model, "batch": o.batch, "dtype": o.precision, "size": o.size, "optimizer": "adamw",
        "device": torch.cuda.get_device_name() if on_gpu else "cpu", "compile": o.compile or "",
        "threads": o.threads, "steps": o.steps, "params": parameters,
        "images_per_s": round(1e3 * o.batch / median, 3), "step_ms": round(median, 2),
        "step_ms_min": round(min(ms), 2), "step_ms_max": round(max(ms), 2),
        "sys_cpu_ms_per_step": round(1e3 * (after.ru_stime - before.ru_stime) / o.steps, 1),
        "user_cpu_ms_per_step": round(1e3 * (after.ru_utime - before.ru_utime) / o.steps, 1),
        "minor_faults_per_step": (after.ru_minflt - before.ru_minflt) // o.steps,
        "first_step_s": round(first, 2), "peak_rss_mb": round(after.ru_maxrss / 1024, 1),
        "peak_gpu_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3) if on_gpu else 0,
        "cudnn": torch.backends.cudnn.version() or 0,
        "final_loss": round(loss, 6), "torch": torch.__version__,
    }))


main(options)
