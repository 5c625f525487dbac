"""Every setting and every flag; without torch."""
