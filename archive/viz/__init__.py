"""Pictures of Patches, on Matplotlib: `patch.viz`.

What is too long to be told apart is thinned, and a huge Patch is read in short stretches instead of whole.
"""

from archive.viz.patch_viz import PatchViz

__all__ = ["PatchViz"]
