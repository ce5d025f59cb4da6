/* What functions of base/ return; the libraries' own errors of that meaning have the same numbers. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum base_error {
    BASE_OK = 0,
    BASE_EINVAL = -1,
    BASE_ENOMEM = -2,
};

#endif
