"""Breaks runs on purpose, from a seed, and checks that they end as if nothing had happened: `vfl chaos`.

    network    parties in this process, joined by links that lose, repeat, swap, delay, cut and change messages as a schedule says
    schedule   what breaks when                             runs   small runs of alignment, regression and trees
    net        attempt after attempt under a schedule until the run ends, and what came of it

It comes with a source checkout only: the wheel does not contain it. No job or party file can ask for it.
"""  # noqa: E501
