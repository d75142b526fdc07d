"""Thermal design powers of processors and accelerators: facts for the stated model.

CPU: (watts of a package, hardware threads of a package). Watts as collected by codecarbon 3.3.2
(MIT) from the makers' data sheets; threads from the same data sheets.
"""

import re

CPU_TDP = {
    "AMD EPYC 7763": (280, 128),
    "AMD EPYC 7742": (225, 128),
    "AMD EPYC 7702": (200, 128),
    "AMD EPYC 7452": (155, 64),
    "AMD EPYC 7402": (180, 48),
    "AMD EPYC 7302": (155, 32),
    "AMD EPYC 9654": (360, 192),
    "AMD EPYC 9554": (360, 128),
    "AMD EPYC 9755": (500, 256),
    "AMD EPYC 9965": (500, 384),
    "AMD EPYC 7R13": (225, 96),
    "Intel Xeon Platinum 8124M": (240, 36),
    "Intel Xeon Platinum 8175M": (240, 48),
    "Intel Xeon Platinum 8259CL": (210, 48),
    "Intel Xeon Platinum 8275CL": (240, 48),
    "Intel Xeon Platinum 8272CL": (195, 52),
    "Intel Xeon Platinum 8358": (250, 64),
    "Intel Xeon Platinum 8370C": (205, 64),
    "Intel Xeon Platinum 8375C": (300, 64),
    "Intel Xeon Platinum 8380": (270, 80),
    "Intel Xeon Platinum 8468": (350, 96),
    "Intel Xeon Platinum 8480+": (350, 112),
    "Intel Xeon Platinum 8592+": (350, 128),
    "Intel Xeon Gold 6130": (125, 32),
    "Intel Xeon Gold 6148": (150, 40),
    "Intel Xeon Gold 6248": (150, 40),
    "Intel Xeon E5-2673 v4": (135, 40),
    "Intel Xeon E5-2680 v4": (120, 28),
    "Intel Xeon E5-2686 v4": (145, 36),
    "Intel Xeon E5-2690 v4": (135, 28),
    "Intel Xeon E5-2699 v4": (145, 44),
    "Intel Core i5-1135G7": (28, 8),
    "Intel Core i7-1165G7": (28, 8),
    "Intel Core i7-8550U": (15, 8),
    "Intel Core i9-9900K": (95, 16),
    "Intel Core i9-13900K": (125, 32),
    "AMD Ryzen 7 5800X": (105, 16),
    "AMD Ryzen 7 7840U": (28, 16),
    "AMD Ryzen 9 5950X": (105, 32),
    "AMD Ryzen 9 7950X": (170, 32),
    "AMD Ryzen Threadripper 3990X": (280, 128),
    "Apple M2": (22, 8),
    "Apple M2 Pro": (35, 12),
    "Apple M2 Max": (50, 12),
    "Apple M2 Ultra": (105, 24),
}
WATTS_PER_THREAD = 3.5  # median of the table above: for a processor that is not in it

# Board power in watts from NVIDIA data sheets; the longest name found in the device's wins.
# TPU: thermal design power per chip, Jouppi et al. 2021 (v2, v3) and 2023 (v4); newer ones are not
# published.
CHIP_TDP = {
    "GB200": 1200,
    "B200": 1000,
    "GH200": 900,
    "H200": 700,
    "H100 PCIe": 350,
    "H100": 700,
    "A100-PCIE-40GB": 250,
    "A100 80GB PCIe": 300,
    "A100": 400,
    "V100-PCIE": 250,
    "V100": 300,
    "P100": 300,
    "RTX A6000": 300,
    "RTX 6000 Ada": 300,
    "L40S": 350,
    "L4": 72,
    "T4": 70,
    "A10": 150,
    "RTX 5090": 575,
    "RTX 4090": 450,
    "RTX 3090": 350,
    "TPU v4": 192,
    "TPU v3": 450,
    "TPU v2": 280,
}
CHIP_WATTS = 300  # for an accelerator that is not in the table


def match(table: dict, name: str) -> str | None:
    """The longest key that stands in `name` as whole words ("L4" is not in "L40S")."""
    found = [k for k in table if re.search(rf"(?<!\w){re.escape(k)}(?!\w)", name, re.IGNORECASE)]
    return max(found, key=len, default=None)


def cpu_watts_per_thread(name: str) -> tuple[float, str]:
    """Watts of one busy hardware thread of the processor called `name`, and where that is from."""
    key = match(CPU_TDP, name)
    if key is None:
        which = name or "unnamed processor"
        return WATTS_PER_THREAD, f"{WATTS_PER_THREAD} W a thread ({which} is not in the table)"
    watts, threads = CPU_TDP[key]
    return watts / threads, f"TDP {watts} W / {threads} threads of {key}"


def chip_watts(name: str) -> tuple[float, str]:
    """Watts of the accelerator called `name` at full load, and where that is from."""
    key = match(CHIP_TDP, name)
    if key is None:
        return float(CHIP_WATTS), f"{CHIP_WATTS} W assumed ({name} is not in the table)"
    return float(CHIP_TDP[key]), f"TDP {CHIP_TDP[key]} W of {key}"
