"""List files and class files: text -> columns -> paths, labels, splits."""
