"""What is mutated, and which tests must notice, the quickest first."""

import collections
import fnmatch
import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__)))))

Target = collections.namedtuple("Target", "pattern tests")

TARGETS = (
    Target("fcgi-app/fastcgi/answer.c", ("tests/unit/test_fastcgi_answer",)),
    Target("fcgi-app/fastcgi/*.c", ("tests/unit/test_fastcgi_codec",
                                    "tests/unit/test_fastcgi_limits",
                                    "tests/unit/test_fastcgi_given",
                                    "tests/unit/test_faults_codec")),
    Target("lib/auth/account.c", ("tests/unit/test_account",)),
    Target("lib/auth/scope.c", ("tests/unit/test_auth_scope",)),
    Target("lib/auth/password.c", ("tests/unit/test_auth_password",
                                   "tests/unit/test_faults_auth")),
    Target("lib/auth/bcrypt.c", ("tests/unit/test_auth_password",
                                 "tests/unit/test_faults_auth")),
    Target("lib/auth/guessable.c", ("tests/unit/test_auth_password",)),
    Target("lib/auth/token.c", ("tests/unit/test_auth_token", "tests/unit/test_auth_cache")),
    Target("lib/auth/principal.c", ("tests/unit/test_auth_token",)),
    Target("lib/auth/token_cache.c", ("tests/unit/test_auth_token",
                                      "tests/unit/test_faults_auth",
                                      "tests/unit/test_auth_cache")),
    Target("lib/auth/*.c", ("tests/unit/test_auth_flight", "tests/unit/test_faults_auth",
                            "tests/unit/test_auth_cache")),
    Target("lib/base/num.c", ("tests/unit/test_base",)),
    Target("lib/db/pool*.c", ("tests/unit/test_pool_lending", "tests/unit/test_pool_keeper",
                               "tests/unit/test_pool")),
    Target("lib/store/record_batch.c", ("tests/unit/test_record_batch",)),
)


def target_of(path):
    for target in TARGETS:
        if fnmatch.fnmatch(path, target.pattern):
            return target
    return None


def sources():
    """The files that are mutated, by their path from the top."""
    for folder in sorted({os.path.dirname(target.pattern) for target in TARGETS}):
        for name in sorted(os.listdir(os.path.join(TOP, folder))):
            path = os.path.join(folder, name)
            if target_of(path):
                yield path
