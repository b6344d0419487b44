"""Model providers, behind one seam."""
