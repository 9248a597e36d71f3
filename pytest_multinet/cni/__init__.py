"""The CNI runtime: configuration lists, results, and plugins behind one seam."""
