/*
 * Texts of bytes: base16, base32, base36, base58 (Bitcoin alphabet), base64url without padding; and
 * multibase, where the first character names the base (multiformats/multibase). Base58 and base36 are
 * positional (quadratic), so their bytes are bounded by PC_BASE_BASEX_MAX_BYTES. The decoders of one base are
 * strict: an unknown character, wrong padding bits or over-long input is PEERCACHE_EPARSE.
 */
#ifndef PC_BASE_BASEX_H
#define PC_BASE_BASEX_H

#include <stddef.h>
#include <stdint.h>

#define PC_BASE_BASEX_MAX_BYTES 128

/* Encoders write NUL-terminated text. Errors: ELIMIT the text does not fit `capacity` or the input is over
 * the bound. */
int pc_base_hex_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity);
int pc_base_base32_encode(const uint8_t *data, size_t size, char *ret_text,
                          size_t capacity); /* RFC 4648, lower, no pad */
int pc_base_base36_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity); /* lower */
int pc_base_base58_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity);
int pc_base_base64url_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity);

/* Decoders take text of `length` characters. Errors: EPARSE; ELIMIT it does not fit `capacity`. On failure
 * ret_size is untouched; ret_data may be written to. */
int pc_base_hex_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity, size_t *ret_size);
int pc_base_base32_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size); /* either case */
int pc_base_base36_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size); /* either case */
int pc_base_base58_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                          size_t *ret_size);
int pc_base_base64url_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size);

/*
 * I2P's texts. Base64 with '-' and '~' for the last two digits, padded. Base32 of lower case only; the
 * padding may be left out, and what stands there is completed to a multiple of 8 characters, line ends
 * counted. Both decoders are as lenient as Go's, see multibase below. Errors: as above.
 */
int pc_base_base64i2p_encode(const uint8_t *data, size_t size, char *ret_text, size_t capacity);
int pc_base_base64i2p_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size);
int pc_base_base32i2p_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size);

/*
 * Multibase: 0 base2, f F base16, b B c C base32, v V t T base32hex, k K base36, z base58btc, Z base58flickr,
 * m M u U base64. Not the identity base (raw bytes are no text) and not base256emoji.
 * As lenient as go-multibase, so that what others accept is accepted here: carriage returns and newlines
 * within base32 and base64 are skipped, padding bits and left-over characters of base32 are ignored. But the
 * padding of base32 (c C t T) must be right: Go overlooks some characters behind it.
 * Errors: EPARSE; ELIMIT it does not fit `capacity`.
 */
int pc_base_multibase_decode(const char *text, size_t length, uint8_t *ret_data, size_t capacity,
                             size_t *ret_size);

#endif
