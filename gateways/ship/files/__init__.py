"""Files that are written for years: names, rotation, compression, moving them when they are finished."""
