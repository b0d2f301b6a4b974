"""pypiserver over the packages beside this file; the site decides who may upload."""

import pypiserver

application = pypiserver.app(roots=["files"], password_file=".", authenticate=[])
