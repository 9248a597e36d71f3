"""The backends behind one protocol: clusters, nodes, pods, links and networks."""
