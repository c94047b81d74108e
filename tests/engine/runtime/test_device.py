"""What machine this is, and devices that cannot be had."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from model_folders import refusal

from engine.runtime import device
from engine.runtime.device import choose_device, machine, synchronise

CUDA = torch.device("cuda", 0)


def test_a_gpus_machine_names_card_driver_and_how_many_there_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n")
    card: Any = SimpleNamespace(total_memory=24 * 10**9, major=8, minor=9)
    monkeypatch.setattr(device, "_DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = machine.__wrapped__(CUDA)
    assert found["processor"] == "A card"
    assert found["gpus"] == ["A card", "A card"]
    assert (found["num_gpus"], found["gpu_memory"], found["compute_capability"]) == (2, 24 * 10**9, "8.9")
    assert found["driver"] == "550.54.14"
    assert {"cuda", "cudnn"} <= set(found)
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "none")
    assert machine.__wrapped__(CUDA)["driver"] is None
    assert "driver" not in machine(torch.device("cpu"))


@pytest.mark.parametrize(
    "reason",
    [
        "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver",
        "Found no NVIDIA driver on your system",
        "CUDA error: invalid device ordinal",
    ],
)
def test_a_device_that_cannot_be_had_is_refused_with_the_reason_and_what_there_is(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{reason}\nMore about it.")

    monkeypatch.setattr(device.torch, "empty", refuse)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = refusal(lambda: choose_device("cuda:9"))
    assert message == f"Device 'cuda:9' cannot be used here ({reason}); there are: cpu, cuda:0."


def test_only_devices_that_work_on_their_own_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: waited.append("mps"))
    for name in ("cpu", "cuda:0", "mps"):
        synchronise(torch.device(name))
    assert waited == ["cuda:0", "mps"]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"avx512_bf16", "amx_bf16"}, "amx_bf16"), ({"avx512_bf16", "avx2"}, "avx512_bf16"), ({"avx2"}, "beads")],
)
def test_a_machine_is_known_by_its_widest_products(
    flags: set[str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "BEADS")
    assert device.instructions() == wanted
