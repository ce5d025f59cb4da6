/* Numbers as decimal digits: an id stands in most packets. */
#include "base_str.h"

size_t base_decimal_size(uint64_t value)
{
#define E(zeros) UINT64_C(1##zeros)
    /* The least number of one digit more. */
    static const uint64_t least_of[] = {0,
                                        E(0),
                                        E(00),
                                        E(000),
                                        E(0000),
                                        E(00000),
                                        E(000000),
                                        E(0000000),
                                        E(00000000),
                                        E(000000000),
                                        E(0000000000),
                                        E(00000000000),
                                        E(000000000000),
                                        E(0000000000000),
                                        E(00000000000000),
                                        E(000000000000000),
                                        E(0000000000000000),
                                        E(00000000000000000),
                                        E(000000000000000000),
                                        E(0000000000000000000)};
#undef E
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    unsigned n = bits * 1233 >> 12; /* log10(2) is 1233 / 4096, a little less */
    return n + (value >= least_of[n]);
}

char *base_put_decimal(char *out, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char *end = out + base_decimal_size(value), *p = end;
    for (; value >= 100; value /= 100) memcpy(p -= 2, pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(p - 2, pairs + value * 2, 2);
    else
        p[-1] = (char)('0' + value);
    return end;
}
