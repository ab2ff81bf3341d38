"""The rules of the commit protocol, each a switch of the model."""

from __future__ import annotations

from enum import Enum

__all__ = ["AMENDMENTS", "REDUNDANT", "Rule"]


class Rule(Enum):
    """A rule that the protocol keeps; the model can break any of them."""

    PUT_IF_ABSENT = "what must not exist is put only if it does not"
    SWAP_COMPARES = "CURRENT is swapped only if it is what was read"
    GRANULES_FIRST = "granules are put before the commit that names them"
    LEAVES_FIRST = "leaves are put before CURRENT is swapped"
    COPY_FIRST = "CURRENT is copied to snapshots/n before the next swap"
    DELETE_AFTER_SWAP = "commits are deleted after the swap that folds them"
    ONLY_WINNER_DELETES = "who loses the swap deletes no commit"
    READ_BACK = "a conflict after a lost answer is settled by reading back"
    COPY_TELLS_WINNER = "a lost answer, when CURRENT has moved on, is settled by the nonce in snapshots/n+1"
    FOLD_DROPS_KNOWN = "fold drops a row whose id is known"
    FOLD_DROPS_COVERED = "fold drops a row whose sources are covered"
    READER_DROPS_KNOWN = "readers drop a young row whose id is known"
    IDS_KEPT = "a compacted row keeps the ids that it replaced"
    LEDGER_ONCE = "the ledger lists a source once under one name"
    SECOND_LOOK = "a reader asks for CURRENT again after it has listed commits"
    GONE_LOOKS_AGAIN = "a listed commit that is gone makes the reader ask for CURRENT again"
    GONE_AND_UNCHANGED = "a commit found gone before CURRENT is found unchanged is in it"
    INCARNATION = "young rows of an older life are not taken where there was a removal"
    REMOVAL_HAS_SPAN = "a removal ends older rows in its span only"
    LIFE_FROM_CURRENT = "a writer takes its life from CURRENT, not from young commits"
    LEDGER_HAS_LIVES = "a source of an older life is unknown where there was a removal"
    ACK_LOOKS_BACK = "a writer looks whether a removal has passed it before it reports success"
    RECHECKED = "rows to be replaced are checked to be live after a lost race"
    OVERLAPS_TAKEN = "compact takes in every folded row that overlaps its members"
    OVERLAPS_RECHECKED = "compact gives up if an overlapping row came after its members were chosen"
    WRITER_HALF_DAY = "a writer commits no object that it put more than 12 h ago"
    REPLACER_HALF_DAY = "compact and replace swap in no object that they put more than 12 h ago"
    GC_DAY = "gc deletes nothing that is less than 24 h old"
    GC_AGES_AT_LIST = "gc counts ages from before its LIST"
    STORE_CLOCK = "all ages are by the store's clock"
    GC_LISTS_FIRST = "gc lists data before it swaps"
    GC_SWAPS = "gc swaps CURRENT, with the oldest kept snapshot in it"
    GC_COMMITS_AFTER = "gc lists commits after its swap"
    GC_CURRENT_AFTER = "gc reads CURRENT after it has read the commits"
    GC_READS_KEPT = "gc reads every kept snapshot"
    TAGS_IN_CURRENT = "tags are set by a swap of CURRENT"
    TAG_ABOVE_FLOOR = "a snapshot below the oldest kept one cannot be tagged"
    FRESH_LEAVES = "the key of a leaf is never used twice"
    DROPPED_NAMED = "a snapshot names the granules of the young rows that it dropped, and their age counts from it"


REDUNDANT = {
    Rule.COPY_TELLS_WINNER: "a win taken for a loss deletes nothing; the next fold finds the rows known",
}
"""Rules whose breach alone breaks no promise, and why."""

AMENDMENTS = frozenset(
    {
        Rule.GONE_AND_UNCHANGED,
        Rule.REMOVAL_HAS_SPAN,
        Rule.LIFE_FROM_CURRENT,
        Rule.LEDGER_HAS_LIVES,
        Rule.ACK_LOOKS_BACK,
        Rule.OVERLAPS_RECHECKED,
        Rule.GC_AGES_AT_LIST,
        Rule.GC_CURRENT_AFTER,
        Rule.FRESH_LEAVES,
        Rule.DROPPED_NAMED,
    }
)
"""Rules that the model asked for beyond those of the first design."""
