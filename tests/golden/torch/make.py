import os, sys
import torch
from torch import nn
from safetensors.torch import save_file

out = sys.argv[1]
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Conv3d(1, 2, 2)
        self.norm = nn.BatchNorm3d(2)
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.norm(self.block(x)).mean((2, 3, 4)))


def eighths(*shape, first=0):
    n = 1
    for size in shape:
        n *= size
    return ((torch.arange(n) + first) / 8).reshape(shape)


model = Net()
for k, value in enumerate(model.state_dict().values()):
    if value.is_floating_point():
        value.copy_(eighths(*value.shape, first=100 * k))
state = model.state_dict()
torch.save(state, f"{out}/state.pth")
save_file(state, f"{out}/state.safetensors")

optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
torch.manual_seed(0)
model.eval()
model(torch.ones(1, 1, 2, 2, 2)).sum().backward()
optimizer.step()
training = {"epoch": 3, "state_dict": nn.DataParallel(model).state_dict(), "optimizer": optimizer.state_dict()}
torch.save(training, f"{out}/training.pth")

shared = eighths(4, 6)
types = {
    "f32": shared,
    "f64": eighths(3).double(),
    "f16": eighths(3).half(),
    "bf16": eighths(3).bfloat16(),
    "i64": torch.arange(3),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 2),
    "transposed": shared.T,
    "part": shared[1:3, 2:5],
    "channels_last": eighths(2, 3, 2, 2).to(memory_format=torch.channels_last),
    "parameter": nn.Parameter(eighths(2)),
}
torch.save(types, f"{out}/types.pth")
save_file({k: v.contiguous().clone() for k, v in types.items()}, f"{out}/types.safetensors", metadata={"format": "pt"})

torch.save(state, f"{out}/old.pth", _use_new_zipfile_serialization=False)
torch.save(model, f"{out}/module.pth")
torch.jit.script(nn.Linear(1, 1)).save(f"{out}/script.pt")
torch.save({"w": torch.zeros(1).expand(1000)}, f"{out}/expanded.pth")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


torch.save({"w": torch.zeros(1), "x": Hostile()}, f"{out}/system.pth")
