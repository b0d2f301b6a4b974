"""pypiserver over the packages beside this file."""

import pypiserver

application = pypiserver.app(roots=["files"], password_file=".", authenticate=[])
