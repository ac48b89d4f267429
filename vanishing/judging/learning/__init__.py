"""Will a watched training learn? The verdict at a step, and the cause of one that will not."""
