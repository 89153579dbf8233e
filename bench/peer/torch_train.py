#!/usr/bin/env python3
"""PyTorch's side of `isthmus bench compare`: times whole training steps and prints one line of JSON.

The step is ours: forward, loss, backward, AdamW, on made-up data that lie in memory. PyTorch gets what makes it fast on a
CPU: channels-last memory, bf16 by autocast where asked for, the fused optimizer, and an allocator that keeps its pages (the
caller sets LD_PRELOAD). Two-dimensional networks are torchvision's; ConvNet2 and SegResNet are built here, layer by layer
as in our catalogue.
"""
import argparse
import contextlib
import json
import os
import resource
import statistics
import sys
import time

MODELS = ("convnet2", "resnet34", "densenet121", "efficientnet_b0", "segresnet")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--size", type=int, required=True, help="edge of the image or volume")
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


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
    stop(f"{sys.executable} has no PyTorch ({problem}); install it there (pip install torch torchvision) or name another Python")


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
        stop(f"{sys.executable} has no torchvision ({problem}), where {name} is from; pip install torchvision there")
    except RuntimeError as problem:
        stop(f"torchvision does not fit PyTorch in {sys.executable}: {problem}; install both from one index")
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


def workload(o):
    """Model, images, targets and loss."""
    torch.manual_seed(1)
    if o.model == "segresnet":
        model = SegResNet(o.channels, o.classes, filters=32)
        space, memory = (o.size,) * 3, torch.channels_last_3d
        targets = torch.randint(o.classes, (o.batch, *space))
        loss = nn.CrossEntropyLoss()
    else:
        model = ConvNet2(o.channels, o.classes, o.size) if o.model == "convnet2" else torchvision_model(o.model, o.channels, o.classes)
        space, memory = (o.size,) * 2, torch.channels_last
        targets = (torch.rand(o.batch, o.classes) < 0.1).float()
        loss = nn.BCEWithLogitsLoss()
    images = (2 * torch.rand(o.batch, o.channels, *space) - 1).contiguous(memory_format=memory)
    return model.to(memory_format=memory).train(), images, targets, loss


def main(o):
    torch.set_num_threads(o.threads)
    model, images, targets, loss_of = workload(o)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    half = o.precision == "bf16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16) if half else contextlib.nullcontext():
            logits = model(images)
        loss = loss_of(logits.float(), targets)
        loss.backward()
        optimizer.step()
        return loss

    def seconds():
        begin = time.perf_counter()
        value = float(step().detach())
        return time.perf_counter() - begin, value

    first, _ = seconds()
    for _ in range(o.warmup - 1):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    timed = [seconds() for _ in range(o.steps)]
    after = resource.getrusage(resource.RUSAGE_SELF)
    ms = [1e3 * t for t, _ in timed]
    median = statistics.median(ms)
    print(json.dumps({
        "model": o.model, "batch": o.batch, "dtype": o.precision, "size": o.size, "optimizer": "adamw",
        "threads": o.threads, "steps": o.steps, "params": sum(p.numel() for p in model.parameters()),
        "images_per_s": round(1e3 * o.batch / median, 3), "step_ms": round(median, 2),
        "step_ms_min": round(min(ms), 2), "step_ms_max": round(max(ms), 2),
        "sys_cpu_ms_per_step": round(1e3 * (after.ru_stime - before.ru_stime) / o.steps, 1),
        "user_cpu_ms_per_step": round(1e3 * (after.ru_utime - before.ru_utime) / o.steps, 1),
        "minor_faults_per_step": (after.ru_minflt - before.ru_minflt) // o.steps,
        "first_step_s": round(first, 2), "peak_rss_mb": round(after.ru_maxrss / 1024, 1),
        "final_loss": round(timed[-1][1], 6), "torch": torch.__version__,
    }))


main(options)
