"""Results as tables, documents and pages."""
