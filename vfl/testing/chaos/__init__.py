"""Breaks runs on purpose, from a seed, and looks whether they end as if nothing had been: `vfl chaos`.

    network    parties in this process, joined by links that lose, repeat, swap, delay, cut and change messages as a schedule says
    schedule   what breaks when                             runs   small runs of alignment, regression and trees
    net        attempt after attempt under a schedule until the run ends, and what came of it

Nothing here can be asked for by a job or party file, and no run between institutions passes through it.
"""
