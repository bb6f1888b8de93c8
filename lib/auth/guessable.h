/*
 * Whether a password is one of the first that are guessed: made of few pieces that guessing
 * programs know as a whole.
 */
#ifndef ZIGGIE_AUTH_GUESSABLE_H
#define ZIGGIE_AUTH_GUESSABLE_H

#include <stdbool.h>

/*
 * A piece is one character, however long a row of the keyboard, of the alphabet or of digits, one
 * character over and over, the repetition of what stands before it, a word that many
 * passwords are made of (written with 0 for o, @ for a and the like too), the user's name, or a
 * date.  Fewer than six are too few: "P@ssw0rd-2024!" has four.
 *
 * password is valid UTF-8.  What is longer than 128 bytes is not looked at.
 */
bool password_is_guessable(const char *password, const char *username);

#endif
