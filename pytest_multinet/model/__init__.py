"""Plain frozen data: what a manifest says and what a probe saw.  No I/O."""
