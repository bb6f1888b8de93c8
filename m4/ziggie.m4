# ZIGGIE_TRY_FLAG(VARIABLE, FLAG): append FLAG to VARIABLE when the compiler takes it.
AC_DEFUN([ZIGGIE_TRY_FLAG], [
  AS_VAR_PUSHDEF([cache], [ziggie_cv_flag_$2])
  AC_CACHE_CHECK([whether $CC accepts $2], [cache], [
    ziggie_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [cache=yes], [cache=no])
    CFLAGS=$ziggie_saved_CFLAGS])
  AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
  AS_VAR_POPDEF([cache])
])

AC_DEFUN([ZIGGIE_WARNINGS], [
  ZIGGIE_WARN_CFLAGS=
  m4_foreach_w([flag],
    [-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
     -Wvla -Wformat=2 -Wpointer-arith -Wwrite-strings -Wundef],
    [ZIGGIE_TRY_FLAG([ZIGGIE_WARN_CFLAGS], flag)])
  AS_IF([test "x$enable_werror" = xyes], [ZIGGIE_WARN_CFLAGS="$ZIGGIE_WARN_CFLAGS -Werror"])
  AC_SUBST([ZIGGIE_WARN_CFLAGS])
])

# Fortify needs an optimiser and confuses the sanitizers, so both turn it off.
AC_DEFUN([ZIGGIE_HARDENING], [
  ZIGGIE_HARDEN_CFLAGS= ZIGGIE_HARDEN_CPPFLAGS= ZIGGIE_HARDEN_LDFLAGS=
  AS_IF([test "x$enable_hardening" = xyes], [
    m4_foreach_w([flag],
      [-fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection],
      [ZIGGIE_TRY_FLAG([ZIGGIE_HARDEN_CFLAGS], flag)])
    # One by one: a list would be split at the commas inside the flags.
    ZIGGIE_TRY_FLAG([ZIGGIE_HARDEN_LDFLAGS], [-pie])
    ZIGGIE_TRY_FLAG([ZIGGIE_HARDEN_LDFLAGS], [-Wl,-z,relro])
    ZIGGIE_TRY_FLAG([ZIGGIE_HARDEN_LDFLAGS], [-Wl,-z,now])
    ZIGGIE_TRY_FLAG([ZIGGIE_HARDEN_LDFLAGS], [-Wl,-z,noexecstack])
    AS_CASE(["$with_sanitizer $CFLAGS"],
      [no*-O@<:@123s@:>@*], [ZIGGIE_HARDEN_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"])
  ])
  AM_CONDITIONAL([HARDENED], [test -n "$ZIGGIE_HARDEN_CPPFLAGS"])
  AC_SUBST([ZIGGIE_HARDEN_CFLAGS])
  AC_SUBST([ZIGGIE_HARDEN_CPPFLAGS])
  AC_SUBST([ZIGGIE_HARDEN_LDFLAGS])
])

AC_DEFUN([ZIGGIE_INSTRUMENTATION], [
  ZIGGIE_INSTR_CFLAGS=
  AS_CASE(["$with_sanitizer"],
    [no|''], [with_sanitizer=no],
    [yes], [AC_MSG_ERROR([--with-sanitizer needs a list, as in --with-sanitizer=address,undefined])],
    [ZIGGIE_INSTR_CFLAGS="-fsanitize=$with_sanitizer -fno-sanitize-recover=all -fno-omit-frame-pointer"
     AC_DEFINE([ZIGGIE_SANITIZED], [1], [Built with a sanitizer])])
  # Threads count at the same time.
  AS_IF([test "x$enable_coverage" = xyes],
    [ZIGGIE_INSTR_CFLAGS="$ZIGGIE_INSTR_CFLAGS --coverage -fprofile-update=atomic"])
  AC_SUBST([ZIGGIE_INSTR_CFLAGS])
])

# libFuzzer: counters in all code, and its main function in the fuzz targets alone.
AC_DEFUN([ZIGGIE_FUZZING], [
  ZIGGIE_FUZZ_LIBS=
  AS_IF([test "x$enable_fuzzing" = xyes], [
    ZIGGIE_INSTR_CFLAGS="$ZIGGIE_INSTR_CFLAGS -fsanitize=fuzzer-no-link"
    ZIGGIE_FUZZ_LIBS=-fsanitize=fuzzer
    ziggie_saved_CFLAGS=$CFLAGS ziggie_saved_LIBS=$LIBS
    CFLAGS="$CFLAGS $ZIGGIE_INSTR_CFLAGS" LIBS="$ZIGGIE_FUZZ_LIBS $LIBS"
    AC_MSG_CHECKING([whether $CC brings libFuzzer])
    AC_LINK_IFELSE([AC_LANG_SOURCE([int LLVMFuzzerTestOneInput(const char *d, unsigned long n);
int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d != 0 && n == 0; }])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([--enable-fuzzing needs clang and its runtime (CC=clang; Debian: clang, libclang-rt-dev)])])
    CFLAGS=$ziggie_saved_CFLAGS LIBS=$ziggie_saved_LIBS])
  AM_CONDITIONAL([FUZZING], [test "x$enable_fuzzing" = xyes])
  AC_SUBST([ZIGGIE_FUZZ_LIBS])
])
