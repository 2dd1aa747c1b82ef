"""``python -m lposs_geo`` is the command ``lposs-geo``."""

from lposs_geo.cli import main

main()
