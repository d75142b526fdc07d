"""Thermal design powers of processors: facts for the stated model.

(watts of a package, hardware threads of a package). Watts are those codecarbon 3.3.2 (MIT) has
collected from the makers' data sheets, checked against its table by a test. Threads are twice the
cores of a package (Apple: its cores, 13900K: 8 · 2 + 16), from memory of the data sheets; of these,
Rome (64 cores, 128 threads at most), Genoa (96, 192) and Xeon 8592+ (64, 128) were checked on
en.wikichip.org and serverrental.store in November 2026. A reading by them has sigma_modelled.
"""

from fxformer.energy.chips import match

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


def cpu_watts_per_thread(name: str) -> tuple[float, str]:
    """Watts of one busy hardware thread of the processor called `name`, and where that is from."""
    key = match(CPU_TDP, name)
    if key is None:
        which = name or "unnamed processor"
        return WATTS_PER_THREAD, f"{WATTS_PER_THREAD} W a thread ({which} is not in the table)"
    watts, threads = CPU_TDP[key]
    return watts / threads, f"TDP {watts} W / {threads} threads of {key}"
