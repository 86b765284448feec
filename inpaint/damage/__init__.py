"""Find scratches, cracks, folds, dust and date stamps in a photograph.

Filters propose thin lines and small spots that differ from both sides of themselves. Photographs
are full of such things too, so each candidate is scored by what tells damage from content: damage
is laid over the picture, so that the picture goes on unchanged beyond it while its own tone stays
the same; it stands alone; and a small network that was trained on drawn damage sees it too, which
alone would see some everywhere. A picture counts as damaged only if one candidate is beyond doubt,
and then the less certain ones are taken with it: a clean photograph yields nothing. Folds, which
are wider, are looked for as what they are: straight, from edge to edge, worn to the white paper.
"""

from inpaint.damage.finding import KINDS, Kind, find, levels

__all__ = ["KINDS", "Kind", "find", "levels"]
