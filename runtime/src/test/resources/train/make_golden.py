"""Golden numbers of the update rule, from PyTorch in float64: python make_golden.py > golden.json"""
import json, math, sys
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

SHAPES = {"conv1.weight": [4, 3], "bn1.weight": [4], "layer4.0.conv1.weight": [5, 4], "layer4.0.conv1.bias": [5],
          "layer4.1.conv1.weight": [3, 5], "fc.weight": [2, 3], "fc.bias": [2]}
STEPS = 10


def wave(k, n, scale):
    """float32(scale * sin(0.37 i + k)), i = 0, 1, 2, ..."""
    return (torch.sin(0.37 * torch.arange(n, dtype=torch.float64) + k) * scale).float().double()


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for k, (name, shape) in enumerate(SHAPES.items()):
            p = torch.nn.Parameter(wave(k, math.prod(shape), 1).reshape(shape))
            self.register_parameter(name.replace(".", "_"), p)

    def named(self):
        return dict(zip(SHAPES, self.parameters()))


def flat(values):
    return [float(f"{v:.9g}") for t in values for v in t.detach().reshape(-1).tolist()]


def factor(step, warm, least):
    if step < warm:
        return (step + 1) / warm
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * (step - warm) / (STEPS - warm)))


def groups(net, lr, decay):
    """fc 12x; conv1 2.5x without decay; the rest 0.12x."""
    p = net.named()
    head = [v for n, v in p.items() if n.startswith("fc.")]
    stem = [v for n, v in p.items() if n.startswith("conv1.")]
    rest = [v for n, v in p.items() if n.split(".")[0] not in ("fc", "conv1")]
    return [{"params": head, "lr": 12 * lr, "weight_decay": decay},
            {"params": stem, "lr": 2.5 * lr, "weight_decay": 0.0},
            {"params": rest, "lr": 0.12 * lr, "weight_decay": decay}]


def run(make):
    """Warm-up over 3 of 10 steps, cosine to 0.1; gradients clipped to 3.0 in the warm-up, then to 1.5; EMA of 0.9."""
    net = Net()
    optimizer = make(net)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: factor(s, 3, 0.1))
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    average.update_parameters(net)  # the first call copies
    params, means, norms = [], [], []
    for step in range(STEPS):
        for k, p in enumerate(net.parameters()):
            p.grad = wave(100 * step + k, p.numel(), 1 + step / 4).reshape(p.shape)
        norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters(), 3.0 if step < 3 else 1.5)))
        optimizer.step()
        schedule.step()
        average.update_parameters(net)
        params.append(flat(net.parameters()))
        means.append(flat(average.module.parameters()))
    return {"params": params, "ema": means, "norms": norms}


def scaler():
    """The scale after each step, for a pattern of overflows."""
    pattern = "ggggbgbbggggggggbg"
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([p], lr=1.0)
    s = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=3)
    scales = []
    for kind in pattern:
        s.scale(torch.ones(()))  # creates the scale
        p.grad = torch.tensor([1.0, math.inf if kind == "b" else 1.0])
        s.step(optimizer)
        s.update()
        scales.append(s.get_scale())
    return {"pattern": pattern, "scales": scales}


json.dump({
    "torch": torch.__version__.split("+")[0],
    "names": {n: s for n, s in SHAPES.items()},
    "adam": run(lambda n: torch.optim.Adam(groups(n, 1e-2, 1e-2), amsgrad=True, betas=(0.8, 0.95), eps=1e-6)),
    "adamw": run(lambda n: torch.optim.AdamW(groups(n, 1e-2, 1e-1))),
    "sgd": run(lambda n: torch.optim.SGD(groups(n, 1e-2, 1e-2), momentum=0.9, nesterov=True)),
    "scaler": scaler()}, sys.stdout)
