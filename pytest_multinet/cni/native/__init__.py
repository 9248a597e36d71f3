"""The reference plugins, carried out in this process: one file a plugin type."""
