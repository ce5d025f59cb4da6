#include "kit_fixture.h"

#include <sodium.h>
#include <sys/stat.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000

/* Made with Node's crypto: HS256 with SECRET, EdDSA with the key of RFC 8037, appendix A.1. */
static const char hs256[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsInJvbGUiOiJhZ2VudCIsImNhbGxzIjoiKiIsI"
    "mlzcyI6InBhcmxleSIsImF1ZCI6WyJhIiwiYiJdLCJuYmYiOjEwMDAwMDAwMDAsImV4cCI6MjAwMDAwMDAwMH0.5e0BhwRw"
    "o4vZClkg27VmYxSSzWwk2IxfQFj_9eZ0fFs";
static const char eddsa[] =
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsInJvbGUiOiJhZ2VudCIsImNhbGxzIjpbImMxI"
    "l0sImV4cCI6MjAwMDAwMDAwMH0.T7lWxwfkkSUjcudCgMmyx7KqEeqfBCM6sur7jd-8l-1NT85B08b1wvlr7UqwSwXpYJ8vO"
    "7q0mCBp99B6GIxwDg";
static const char public_key[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
static const char public_pem[] =
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n";

static struct kit_jwt hs256_jwt(void)
{
    struct kit_jwt jwt = {.algorithm = KIT_JWT_HS256, .key_size = strlen(SECRET)};
    memcpy(jwt.key, SECRET, strlen(SECRET));
    return jwt;
}

static struct kit_jwt eddsa_jwt(void)
{
    struct kit_jwt jwt = {.algorithm = KIT_JWT_EDDSA};
    assert_int_equal(kit_jwt_set_public_key(&jwt, public_key, strlen(public_key)), 0);
    return jwt;
}

static bool holds_at(const struct kit_jwt *jwt, const char *token, int64_t now)
{
    const char *why = "";
    json_t *claims = kit_jwt_verify(jwt, eio_str(token), now, &why);
    bool holds = claims != NULL;
    if (!holds) assert_true(why[0]);
    json_decref(claims);
    return holds;
}

static bool holds(const struct kit_jwt *jwt, const char *token)
{
    return holds_at(jwt, token, NOW);
}

/* A token with a right HS256 signature, whatever its parts are. */
static const char *sign_raw(const char *header, const char *payload)
{
    static char token[4096];
    uint8_t mac[32];
    crypto_auth_hmacsha256_state s;
    sodium_bin2base64(token, sizeof token, (const uint8_t *)header, strlen(header), 7);
    strcat(token, ".");
    size_t n = strlen(token);
    sodium_bin2base64(token + n, sizeof token - n, (const uint8_t *)payload, strlen(payload), 7);
    crypto_auth_hmacsha256_init(&s, (const uint8_t *)SECRET, strlen(SECRET));
    crypto_auth_hmacsha256_update(&s, (const uint8_t *)token, strlen(token));
    crypto_auth_hmacsha256_final(&s, mac);
    strcat(token, ".");
    n = strlen(token);
    sodium_bin2base64(token + n, sizeof token - n, mac, sizeof mac, 7);
    return token;
}

#define HEADER "{\"alg\":\"HS256\"}"

static void tokens_of_others_with_our_key_hold(void **state)
{
    struct kit_jwt hs = hs256_jwt(), ed = eddsa_jwt();
    (void)state;
    assert_true(holds(&hs, hs256));
    assert_true(holds(&ed, eddsa));
}

static void a_public_key_is_read_from_pem_and_base64url(void **state)
{
    struct kit_jwt jwt = {.algorithm = KIT_JWT_EDDSA};
    (void)state;
    assert_int_equal(kit_jwt_set_public_key(&jwt, public_pem, strlen(public_pem)), 0);
    assert_true(holds(&jwt, eddsa));
    assert_int_equal(kit_jwt_set_public_key(&jwt, "abc", 3), EIO_EINVAL);
    assert_int_equal(kit_jwt_set_public_key(&jwt, public_pem, 40), EIO_EINVAL);
    assert_int_equal(kit_jwt_set_public_key(&jwt, "", 0), EIO_EINVAL);
}

/* RFC 8725, section 3.1: the algorithm is the verifier's choice. */
static void the_token_does_not_choose_the_algorithm(void **state)
{
    struct kit_jwt hs = hs256_jwt(), ed = eddsa_jwt();
    struct kit_jwt confused = ed;
    (void)state;
    assert_false(holds(&ed, hs256));
    assert_false(holds(&hs, eddsa));
    assert_false(holds(&hs, sign_raw("{\"alg\":\"none\"}", "{\"exp\":2000000000}")));
    assert_false(holds(&hs, sign_raw("{\"alg\":\"hs256\"}", "{\"exp\":2000000000}")));
    assert_false(holds(&hs, sign_raw("{\"alg\":\"HS512\"}", "{\"exp\":2000000000}")));
    assert_false(holds(&hs, sign_raw("{\"alg\":[\"HS256\"]}", "{\"exp\":2000000000}")));
    assert_false(holds(&hs, sign_raw("{}", "{\"exp\":2000000000}")));
    assert_false(holds(&hs, "eyJhbGciOiJub25lIn0.eyJleHAiOjIwMDAwMDAwMDB9."));
    /* The public key as an HMAC secret. */
    confused.algorithm = KIT_JWT_HS256;
    json_t *claims = json_pack("{s:I}", "exp", (json_int_t)2000000000);
    char *forged = kit_jwt_sign(&confused, claims);
    assert_non_null(forged);
    assert_false(holds(&ed, forged));
    free(forged);
    json_decref(claims);
}

static void a_critical_extension_is_refused(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    (void)state;
    assert_false(holds(&jwt, sign_raw("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"exp\":2000000000}")));
}

static void base64url_is_strict(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    char token[600];
    (void)state;
    snprintf(token, sizeof token, "%s=", hs256);
    assert_false(holds(&jwt, token));
    snprintf(token, sizeof token, "%s\n", hs256);
    assert_false(holds(&jwt, token));
    snprintf(token, sizeof token, " %s", hs256);
    assert_false(holds(&jwt, token));
    /* The signature's last character has two bits that say nothing and must be zero. */
    snprintf(token, sizeof token, "%s", hs256);
    token[strlen(token) - 1] = 't';
    assert_false(holds(&jwt, token));
    /* The other alphabet. */
    snprintf(token, sizeof token, "%s", hs256);
    *strrchr(token, '_') = '/';
    assert_false(holds(&jwt, token));
}

static void every_changed_character_breaks_a_token(void **state)
{
    struct kit_jwt jwt = hs256_jwt(), ed = eddsa_jwt();
    char token[600];
    (void)state;
    for (size_t i = 0; i < strlen(hs256); i++) {
        strcpy(token, hs256);
        token[i] = token[i] == 'A' ? 'B' : 'A';
        assert_false(holds(&jwt, token));
    }
    for (size_t i = 0; i < strlen(eddsa); i++) {
        strcpy(token, eddsa);
        token[i] = token[i] == 'A' ? 'B' : 'A';
        assert_false(holds(&ed, token));
    }
    for (size_t i = 0; i < strlen(hs256); i++) {
        snprintf(token, sizeof token, "%.*s", (int)i, hs256);
        assert_false(holds(&jwt, token));
    }
}

static void the_form_must_be_three_parts(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    char token[10000];
    (void)state;
    assert_false(holds(&jwt, ""));
    assert_false(holds(&jwt, "."));
    assert_false(holds(&jwt, ".."));
    assert_false(holds(&jwt, "..."));
    snprintf(token, sizeof token, "%s.", hs256);
    assert_false(holds(&jwt, token));
    memset(token, 'a', sizeof token - 1);
    token[sizeof token - 1] = 0;
    assert_false(holds(&jwt, token));
}

/* RFC 7519, sections 4.1.4 and 4.1.5. */
static void times_are_checked_with_leeway(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    (void)state;
    assert_true(holds_at(&jwt, hs256, 1999999999));
    assert_false(holds_at(&jwt, hs256, 2000000000));
    assert_true(holds_at(&jwt, hs256, 1000000000));
    assert_false(holds_at(&jwt, hs256, 999999999));
    jwt.leeway_s = 10;
    assert_true(holds_at(&jwt, hs256, 2000000009));
    assert_false(holds_at(&jwt, hs256, 2000000010));
    assert_true(holds_at(&jwt, hs256, 999999990));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"sub\":\"a\"}")));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":\"2000000000\"}")));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000,\"nbf\":\"x\"}")));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":null}")));
    assert_true(holds(&jwt, sign_raw(HEADER, "{\"exp\":1.7e9}")));
}

/* RFC 7519 section 2: a NumericDate may have a fraction. What no clock says is refused, and converted by nobody. */
static void times_are_numbers_of_seconds_that_are_possible(void **state)
{
    static const char *const possible[] = {"2000000000", "2000000000.75", "2e9", "9007199254740991", "9.0e15"};
    static const char *const bad[] = {"-1",
                                      "0",
                                      "-0.5",
                                      "-1e300",
                                      "1e300",
                                      "1e308",
                                      "1e400",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "18446744073709551616",
                                      "9.3e18",
                                      "9007199254740992",
                                      "NaN",
                                      "Infinity",
                                      "[2000000000]",
                                      "true",
                                      "\"2000000000\""};
    static const char *const odd[] = {"1e300", "-1e300", "9223372036854775807", "\"1\"", "null", "9.3e18"};
    struct kit_jwt jwt = hs256_jwt();
    char claims[128];
    (void)state;
    for (size_t i = 0; i < sizeof possible / sizeof possible[0]; i++) {
        snprintf(claims, sizeof claims, "{\"exp\":%s,\"nbf\":-1.5,\"iat\":0}", possible[i]);
        if (!holds(&jwt, sign_raw(HEADER, claims))) fail_msg("refused: %s", claims);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(claims, sizeof claims, "{\"exp\":%s}", bad[i]);
        if (holds(&jwt, sign_raw(HEADER, claims))) fail_msg("accepted: %s", claims);
    }
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        snprintf(claims, sizeof claims, "{\"exp\":2000000000,\"nbf\":%s}", odd[i]);
        if (holds(&jwt, sign_raw(HEADER, claims))) fail_msg("accepted: %s", claims);
        snprintf(claims, sizeof claims, "{\"exp\":2000000000,\"iat\":%s}", odd[i]);
        if (holds(&jwt, sign_raw(HEADER, claims))) fail_msg("accepted: %s", claims);
    }
}

static void claims_must_be_one_object(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    (void)state;
    assert_false(holds(&jwt, sign_raw(HEADER, "[]")));
    assert_false(holds(&jwt, sign_raw(HEADER, "5")));
    assert_false(holds(&jwt, sign_raw(HEADER, "")));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000")));
    /* Which of two would count is a question that must not be asked. */
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":1,\"exp\":2000000000}")));
}

static void issuer_and_audience_are_checked_if_configured(void **state)
{
    struct kit_jwt jwt = hs256_jwt();
    (void)state;
    jwt.issuer = "parley";
    jwt.audience = "b";
    assert_true(holds(&jwt, hs256));
    jwt.audience = "c";
    assert_false(holds(&jwt, hs256));
    jwt.audience = NULL;
    jwt.issuer = "other";
    assert_false(holds(&jwt, hs256));
    jwt.issuer = "x";
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000}")));
    assert_true(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000,\"iss\":\"x\"}")));
    jwt.audience = "a";
    assert_true(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000,\"iss\":\"x\",\"aud\":\"a\"}")));
    assert_false(holds(&jwt, sign_raw(HEADER, "{\"exp\":2000000000,\"iss\":\"x\"}")));
}

static void what_is_signed_here_holds_here(void **state)
{
    struct kit_jwt jwt = hs256_jwt(), other = hs256_jwt();
    (void)state;
    char *token = kit_auth_make_token(&jwt, "alice", "agent", "c1,demo-*", "", NOW, 60);
    assert_non_null(token);
    assert_true(holds(&jwt, token));
    other.key[0] ^= 1;
    assert_false(holds(&other, token));
    free(token);
    token = kit_auth_make_token(&jwt, "auth0|5f7c ann@acme.com", "agent", "*", "", NOW, 60);
    assert_true(holds(&jwt, token));
    free(token);
    assert_null(kit_auth_make_token(&jwt, "", "agent", "*", "", NOW, 60));
    assert_null(kit_auth_make_token(&jwt, "a", "king", "*", "", NOW, 60));
}

static void a_development_key_is_made_once_and_private(void **state)
{
    char directory[64], path[128], error[512] = "";
    struct kit_config config;
    struct kit_jwt first, second;
    struct stat info;
    bool is_development;
    (void)state;
    fixture_directory(directory);
    fixture_config_data(&config, directory);
    assert_int_equal(kit_jwt_load(&first, &config, &is_development, error, sizeof error), 0);
    assert_true(is_development);
    assert_int_equal(kit_jwt_load(&second, &config, &is_development, error, sizeof error), 0);
    assert_int_equal(first.key_size, 64);
    assert_int_equal(second.key_size, 64);
    assert_memory_equal(first.key, second.key, 64);
    snprintf(path, sizeof path, "%s/dev-jwt.key", directory);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    kit_config_clear(&config);
    fixture_remove(directory);
}

static void a_bad_key_file_is_an_error_with_its_name(void **state)
{
    char directory[64], path[128], error[512] = "";
    struct kit_config config;
    struct kit_jwt jwt;
    bool is_development;
    (void)state;
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/key", directory);
    fixture_write(path, "short\n");
    const char *const words[] = {"--jwt-key-file", path, NULL};
    assert_int_equal(fixture_config(&config, error, sizeof error, NULL, words), 0);
    assert_int_equal(kit_jwt_load(&jwt, &config, &is_development, error, sizeof error), EIO_EINVAL);
    assert_non_null(strstr(error, path));
    fixture_write(path, SECRET "\n");
    assert_int_equal(kit_jwt_load(&jwt, &config, &is_development, error, sizeof error), 0);
    assert_true(holds(&jwt, hs256));
    kit_config_clear(&config);
    fixture_remove(directory);
}

/* RFC 8037, appendix A.1: the private key, as PKCS #8. */
static const char private_pem[] =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

static void a_private_key_signs_what_its_public_key_accepts(void **state)
{
    struct kit_jwt signer = {.algorithm = KIT_JWT_EDDSA}, reader = eddsa_jwt();
    (void)state;
    assert_int_equal(kit_jwt_set_public_key(&signer, private_pem, strlen(private_pem)), 0);
    assert_true(kit_jwt_can_sign(&signer));
    assert_false(kit_jwt_can_sign(&reader));
    json_t *claims = json_pack("{s:s, s:I}", "sub", "ann", "exp", (json_int_t)NOW + 60);
    char *token = kit_jwt_sign(&signer, claims);
    assert_null(kit_jwt_sign(&reader, claims));
    assert_non_null(token);
    assert_true(holds(&reader, token));
    assert_true(holds(&signer, token));
    token[strlen(token) - 5] ^= 1;
    assert_false(holds(&reader, token));
    free(token);
    json_decref(claims);
}

static struct kit_jwt_key hs256_key(const char *kid, const char *secret)
{
    struct kit_jwt_key key = {.algorithm = KIT_JWT_HS256, .key_size = strlen(secret)};
    strcpy(key.kid, kid);
    memcpy(key.key, secret, key.key_size);
    return key;
}

static void the_key_that_a_token_names_decides_with_its_own_algorithm(void **state)
{
    static const char payload[] = "{\"sub\":\"a\",\"exp\":2000000000}";
    struct kit_jwt ed = eddsa_jwt();
    struct kit_jwt_key keys[] = {hs256_key("one", SECRET),
                                 hs256_key("two", "another secret of thirty-two bytes.."),
                                 {.kid = "ed", .algorithm = KIT_JWT_EDDSA, .key_size = 32}};
    (void)state;
    memcpy(keys[2].key, ed.key, 32);
    ed.keys = keys;
    ed.key_count = 3;
    assert_true(holds(&ed, sign_raw("{\"alg\":\"HS256\",\"kid\":\"one\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"HS256\",\"kid\":\"two\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"HS256\",\"kid\":\"ed\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"HS256\",\"kid\":\"three\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"HS256\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"EdDSA\",\"kid\":\"one\"}", payload)));
    assert_false(holds(&ed, sign_raw("{\"alg\":\"none\",\"kid\":\"one\"}", payload)));
    assert_true(holds(&ed, eddsa));  /* without a kid: the own key */
    struct kit_jwt hs = hs256_jwt(); /* a kid that is nobody's does not matter to the own key */
    assert_true(holds(&hs, sign_raw("{\"alg\":\"HS256\",\"kid\":\"three\"}", payload)));
}

/* The attack on libraries that take the algorithm from the token: HS256 with the public key's text as the secret. */
static void a_public_key_is_never_a_secret(void **state)
{
    static const char *const secrets[] = {public_pem, public_key};
    struct kit_jwt ed = eddsa_jwt();
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kit_jwt forger = {.algorithm = KIT_JWT_HS256, .key_size = strlen(secrets[i])};
        memcpy(forger.key, secrets[i], forger.key_size);
        json_t *claims = json_pack("{s:s, s:I}", "sub", "ann", "exp", (json_int_t)NOW + 60);
        char *token = kit_jwt_sign(&forger, claims);
        assert_true(holds(&forger, token));
        assert_false(holds(&ed, token));
        free(token);
        json_decref(claims);
    }
}

static bool reads_jwk(const char *text)
{
    struct kit_jwt_key key;
    json_t *jwk = json_loads(text, 0, NULL);
    int error = kit_jwt_read_jwk(&key, jwk);
    if (!error) assert_string_equal(key.kid, "k");
    json_decref(jwk);
    return !error;
}

static void a_json_web_key_is_an_ed25519_key_for_signatures(void **state)
{
#define OKP "{\"kty\":\"OKP\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
    (void)state;
    assert_true(reads_jwk(OKP "\"crv\":\"Ed25519\",\"kid\":\"k\"}"));
    assert_true(reads_jwk(OKP "\"crv\":\"Ed25519\",\"kid\":\"k\",\"use\":\"sig\",\"alg\":\"EdDSA\"}"));
    assert_false(reads_jwk("{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}"));
    assert_false(reads_jwk(OKP "\"crv\":\"X25519\",\"kid\":\"k\"}"));
    assert_false(reads_jwk(OKP "\"crv\":\"Ed25519\",\"kid\":\"k\",\"use\":\"enc\"}"));
    assert_false(reads_jwk(OKP "\"crv\":\"Ed25519\",\"kid\":\"k\",\"alg\":\"HS256\"}"));
    assert_false(reads_jwk(OKP "\"crv\":\"Ed25519\"}"));
    assert_false(reads_jwk(OKP "\"crv\":\"Ed25519\",\"kid\":7}"));
    assert_false(reads_jwk("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"AAAA\"}"));
    assert_false(reads_jwk("[]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_others_with_our_key_hold),
        cmocka_unit_test(a_public_key_is_read_from_pem_and_base64url),
        cmocka_unit_test(the_token_does_not_choose_the_algorithm),
        cmocka_unit_test(a_critical_extension_is_refused),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(every_changed_character_breaks_a_token),
        cmocka_unit_test(the_form_must_be_three_parts),
        cmocka_unit_test(times_are_checked_with_leeway),
        cmocka_unit_test(times_are_numbers_of_seconds_that_are_possible),
        cmocka_unit_test(claims_must_be_one_object),
        cmocka_unit_test(issuer_and_audience_are_checked_if_configured),
        cmocka_unit_test(what_is_signed_here_holds_here),
        cmocka_unit_test(a_development_key_is_made_once_and_private),
        cmocka_unit_test(a_bad_key_file_is_an_error_with_its_name),
        cmocka_unit_test(a_private_key_signs_what_its_public_key_accepts),
        cmocka_unit_test(the_key_that_a_token_names_decides_with_its_own_algorithm),
        cmocka_unit_test(a_public_key_is_never_a_secret),
        cmocka_unit_test(a_json_web_key_is_an_ed25519_key_for_signatures),
    };
    if (sodium_init() < 0) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
