"""deploy/apache: what only Apache does; test_web.py has what both web servers do."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import BUILD, SOURCE, proc, scratch_dir, wait_for
from test_supervisor_stack import Traffic, supervisor, wait_generation
