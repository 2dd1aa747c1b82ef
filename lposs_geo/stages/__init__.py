"""The three stages over a scene of any size: encode its crops, propagate over patches, label tiles."""
