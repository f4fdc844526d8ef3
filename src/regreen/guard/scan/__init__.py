"""The leak scanner: every place where a task's fix can be found, by name."""

from regreen.guard.scan.findings import KINDS, Leak, ScanReport
from regreen.guard.scan.scanner import scan, scan_report

__all__ = ["KINDS", "Leak", "ScanReport", "scan", "scan_report"]
