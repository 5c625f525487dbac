"""Pictures and pages: charts, the report, the audit's page."""
