"""The browser of the tests that look at pages, and of the benchmark that times one."""

import shutil

from tests.support.processes import needs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "Chromium is not installed here (Debian: apt install chromium)"
needs_chromium = needs(CHROMIUM, MISSING)
