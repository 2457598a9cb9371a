"""What installs without trouble prove: an upper bound on the share of machines that break (P4.2)."""

from math import exp, lgamma, log, log1p

CONFIDENCE = 0.95
_WORTH_SAYING = 2
"""A bound above one half is no proof worth a sentence."""


def at_most(failures: int, installs: int, confidence: float = CONFIDENCE) -> float:
    """Bound the share of machines that break, with this confidence: exact (Clopper and Pearson 1934, one-sided).

    Without failures it is 1 - (1 - confidence)^(1/n), about 3/n for 95 %: the rule of three.

    Raises:
        ValueError: more failures than installs, or fewer than none.
    """
    if not 0 <= failures <= installs:
        raise ValueError(f"{failures} failures of {installs} installs")
    if failures == installs:
        return 1.0
    low, high = failures / installs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _so_few(failures, installs, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def one_in(failures: int, installs: int) -> int:
    """Say one in how many machines breaks at most, with 95 % confidence; 0 where the installs prove nothing."""
    found = int(1 / at_most(failures, installs)) if installs else 0
    return found if found >= _WORTH_SAYING else 0


def proof(failures: int, installs: int) -> dict[str, str]:
    """Say what installs prove, one sentence a language."""
    bound = one_in(failures, installs)
    clean = installs - failures
    if not failures:
        english, japanese = f"{clean} clean installs", f"{clean} 台で問題なく導入"
    else:
        english = f"{clean} of {installs} installs are clean"
        japanese = f"{installs} 台中 {clean} 台で問題なく導入"
    if not bound:
        return {
            "en": f"{english}: too few to say anything about the others",
            "ja": f"{japanese}：他の台について言うには少なすぎます",
        }
    return {
        "en": f"{english}: fewer than 1 in {bound} machines breaks, with 95 % confidence",
        "ja": f"{japanese}：壊れるのは {bound} 台に 1 台未満（信頼度 95 %）",
    }


def _so_few(most: int, installs: int, share: float) -> float:
    """Give the probability of at most so many failures, summed from the largest term down until nothing is added."""
    if share >= 1.0:
        return 0.0
    chances = lgamma(installs + 1) - lgamma(most + 1) - lgamma(installs - most + 1)
    term = (
        exp(chances + most * log(share) + (installs - most) * log1p(-share)) if share > 0 else float(not most)
    )
    total, odds = term, (1 - share) / share if share > 0 else 0.0
    for count in range(most, 0, -1):
        term *= count / (installs - count + 1) * odds
        total += term
        if term < total * 1e-17:
            break
    return total
