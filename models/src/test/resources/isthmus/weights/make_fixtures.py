"""Writes the small checkpoints beside this file with PyTorch itself, and reads each back with torch.load.

    python make_fixtures.py        (torch 2.x, safetensors)

Element i of every tensor, in logical order, is i / 4 - 1, so that each format holds it exactly.
"""
import argparse
import collections
import io
import os
import pathlib
import pickle
import struct
import zipfile

import torch
import safetensors.torch

HERE = pathlib.Path(__file__).parent


def tensor(*shape, dtype=torch.float32):
    return (torch.arange(max(1, int(torch.tensor(shape).prod()))) / 4 - 1).to(dtype).reshape(shape)


def laid_out(shape, stride, offset, room):
    """The same values, spread over a storage of its own."""
    t = torch.zeros(room).as_strided(shape, stride, offset)
    t.copy_(tensor(*shape))
    return t


shared = torch.arange(40) / 4 - 1
state = collections.OrderedDict(
    plain=tensor(2, 3, 4), half=tensor(5, dtype=torch.float16), brain=tensor(3, 2, dtype=torch.bfloat16),
    double=tensor(2, 2, dtype=torch.float64), long=torch.tensor(7), scalar=tensor(), one=tensor(1, 1),
    transposed=laid_out((3, 4), (1, 3), 0, 12), gaps=laid_out((2, 3), (20, 5), 3, 40),
    parameter=torch.nn.Parameter(tensor(4)), first_view=shared[:24].view(2, 12), second_view=shared[:6].view(2, 3),
    expanded=torch.tensor([-1.0]).expand(1, 1), empty=torch.zeros(0, 3), flag=torch.tensor([True, False]))
state._metadata = collections.OrderedDict({"": {"version": 1}})


def check(path, expected=state):
    read = torch.load(path, weights_only=False)
    for name, t in expected.items():
        assert torch.equal(read[name], t) and read[name].dtype == t.dtype, (path, name)


for protocol in (2, 4, 5):
    torch.save(state, HERE / f"zip{protocol}.pth", pickle_protocol=protocol)
    check(HERE / f"zip{protocol}.pth")
torch.save(state, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
check(HERE / "legacy.pth")
torch.serialization.set_crc32_options(False)
torch.save(state, HERE / "without_checksums.pth")
torch.serialization.set_crc32_options(True)
torch.save({"epoch": 3, "best": 0.5, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
            "model_state_dict": collections.OrderedDict(("module." + k, v) for k, v in state.items()), "note": None}, HERE / "training.pth")
safetensors.torch.save_file({k: state[k].contiguous() for k in ("plain", "half", "brain", "double", "long", "scalar", "flag", "empty")},
                            HERE / "tensors.safetensors", metadata={"format": "pt"})


def big_endian():
    """As a big-endian machine would write it; torch.load turns the bytes on this one."""
    width = {}  # element size by storage key: torch numbers storages as it meets them
    keys = {}
    for t in state.values():
        key = keys.setdefault(t.untyped_storage()._cdata, str(len(keys)))
        width[key] = t.element_size()
    source = zipfile.ZipFile(HERE / "zip2.pth")
    with zipfile.ZipFile(HERE / "big_endian.pth", "w", zipfile.ZIP_STORED) as out:
        for info in source.infolist():
            data = source.read(info)
            folder, _, rest = info.filename.partition("/")
            if rest == "byteorder":
                data = b"big"
            if rest.startswith("data/"):
                n = width[rest[5:]]
                data = b"".join(data[i:i + n][::-1] for i in range(0, len(data), n))
            out.writestr(zipfile.ZipInfo(info.filename.replace("zip2", "big_endian")), data)


def before_0_4():
    """As PyTorch 0.3 wrote it: Python 2 texts, _rebuild_tensor, and a storage that is a view of another."""
    def text(s):
        return b"U" + bytes([len(s)]) + s.encode()

    def pid(key, elements, view):
        return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K" + bytes([elements]) + view + b"tQ"

    def rebuilt(key, elements, view, offset, size, stride):
        return (b"ctorch._utils\n_rebuild_tensor\n(" + pid(key, elements, view) + b"K" + bytes([offset])
                + b"(" + b"".join(b"K" + bytes([s]) for s in size) + b"t(" + b"".join(b"K" + bytes([s]) for s in stride) + b"ttR")
    whole = rebuilt("5", 24, b"N", 0, (2, 3, 4), (12, 4, 1))
    part = rebuilt("5", 24, b"(" + text("6") + b"K\x00K\x06t", 0, (2, 3), (3, 1))
    last = rebuilt("5", 24, b"(" + text("7") + b"K\x14K\x04t", 1, (3,), (1,))
    body = b"\x80\x02}q\x01(" + text("plain") + whole + text("second_view") + part + text("last") + last + b"u."
    head = io.BytesIO()
    pickle.dump(0x1950a86a20f9469cfc6c, head, 2)
    pickle.dump(1001, head, 2)
    pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, head, 2)
    data = b"".join(struct.pack("<f", i / 4 - 1) for i in range(24))
    path = HERE / "before_0_4.pth"
    path.write_bytes(head.getvalue() + body + b"\x80\x02]q\x01U\x015a." + struct.pack("<q", 24) + data)


class Asks:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile():
    torch.save({"weight": tensor(2), "x": Asks(os.system, "touch isthmus-was-here")}, HERE / "asks_system.pth")
    torch.save({"weight": tensor(2), "x": Asks(eval, "1+1")}, HERE / "asks_eval.pth", pickle_protocol=4)
    torch.save({"weight": tensor(2), "args": argparse.Namespace(lr=1)}, HERE / "asks_namespace.pth")
    torch.save({"weight": tensor(2), "x": Asks(os.system, "touch isthmus-was-here")}, HERE / "asks_system_legacy.pth",
               _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "whole_module.pth")
    torch.save({"weight": tensor(2), "kinds": {1, 2}}, HERE / "a_set.pth")
    torch.save(tensor(3), HERE / "one_tensor.pth")
    torch.save([tensor(3)], HERE / "a_list.pth")
    torch.save({"weight": tensor(4).to_sparse()}, HERE / "sparse.pth")
    with open(HERE / "plain_pickle.pth", "wb") as out:
        pickle.dump({"weight": [1.0, 2.0]}, out, 2)
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), str(HERE / "script.pt"))
    source = zipfile.ZipFile(HERE / "zip2.pth")
    with zipfile.ZipFile(HERE / "compressed.pth", "w", zipfile.ZIP_DEFLATED) as out:
        for info in source.infolist():
            out.writestr(info.filename, source.read(info))


big_endian()
check(HERE / "big_endian.pth")
before_0_4()
check(HERE / "before_0_4.pth", {"plain": state["plain"], "second_view": state["second_view"], "last": torch.tensor([21., 22., 23.]) / 4 - 1})
hostile()
assert not os.path.exists("isthmus-was-here")
