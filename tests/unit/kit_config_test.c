#include "kit_fixture.h"

#include "kit_options.h"

struct load {
    struct kit_config config;
    char error[512];
    int failed;
};

static struct load load(char *const *environment, const char *const *words)
{
    struct load l;
    l.failed = fixture_config(&l.config, l.error, sizeof l.error, environment, words);
    return l;
}

#define LOAD(environment, ...) load(environment, (const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(struct load l, const char *text)
{
    assert_int_equal(l.failed, EIO_EINVAL);
    if (!strstr(l.error, text)) fail_msg("expected '%s' in: %s", text, l.error);
    kit_config_clear(&l.config);
}

static void every_default_is_possible_and_is_the_libraries_own(void **state)
{
    struct load l = load(NULL, (const char *const[]){NULL});
    struct sio_options own;
    (void)state;
    assert_int_equal(l.failed, 0);
    for (size_t i = 0; kit_setting_at(&l.config, i).option; i++) assert_string_equal(l.config.sources[i], "default");
    sio_options_init(&own);
    assert_int_equal(l.config.io.engine.ping_interval_ms, own.engine.ping_interval_ms);
    assert_int_equal(l.config.io.engine.max_queue_bytes, own.engine.max_queue_bytes);
    assert_int_equal(l.config.io.http.max_head_bytes, own.http.max_head_bytes);
    assert_int_equal(l.config.io.http.backlog, own.http.backlog);
    assert_int_equal(l.config.io.connect_timeout_ms, own.connect_timeout_ms);
    assert_int_equal(l.config.io.max_depth, own.max_depth);
    assert_int_equal(l.config.io.engine.transports, own.engine.transports);
    assert_string_equal(l.config.io.engine.path, own.engine.path);
    assert_null(l.config.io.engine.cors.origin);
    kit_config_clear(&l.config);
}

static void command_line_beats_environment_beats_file_beats_default(void **state)
{
    char directory[64], path[128], variable[256];
    (void)state;
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/parley.conf", directory);
    fixture_write(path,
                  "; a comment\nport = 1001\nping_interval_ms = 1001\ndemo_line_ms = 1001 ; here too\nhost=::1\n");
    snprintf(variable, sizeof variable, "PARLEY_CONFIG=%s", path);
    char port[] = "PARLEY_PORT=1002", ping[] = "PARLEY_PING_INTERVAL_MS=1002", other[] = "HOME=/nowhere";
    char *environment[] = {port, variable, other, ping, NULL};
    struct load l = LOAD(environment, "--port", "1003");
    assert_int_equal(l.failed, 0);
    assert_int_equal(l.config.port, 1003);
    assert_int_equal(l.config.io.engine.ping_interval_ms, 1002);
    assert_int_equal(calls_config(&l.config)->demo_line_ms, 1001);
    assert_string_equal(l.config.host, "::1");
    assert_int_equal(l.config.io.engine.ping_timeout_ms, 20000);
    kit_config_clear(&l.config);
    fixture_remove(directory);
}

static void both_spellings_of_a_value_and_switches_are_understood(void **state)
{
    struct load l = LOAD(NULL, "--ping-interval-ms=25", "--ping_timeout_ms", "26", "--demo", "--no-allow-upgrades",
                         "--cors-credentials=on", "--cors-origin", "reflect", "--transports", "websocket");
    (void)state;
    assert_int_equal(l.failed, 0);
    assert_int_equal(l.config.io.engine.ping_interval_ms, 25);
    assert_int_equal(l.config.io.engine.ping_timeout_ms, 26);
    assert_true(l.config.demo);
    assert_false(l.config.io.engine.allow_upgrades);
    assert_true(l.config.io.engine.cors.credentials);
    assert_string_equal(l.config.io.engine.cors.origin, "reflect");
    assert_int_equal(l.config.io.engine.transports, EIO_WEBSOCKET);
    kit_config_clear(&l.config);
}

static void impossible_values_name_option_value_range_and_source(void **state)
{
    char port[] = "PARLEY_PORT=70000";
    char *environment[] = {port, NULL};
    (void)state;
    assert_refused(load(environment, (const char *const[]){NULL}),
                   "option port: invalid value '70000' (allowed: 0 to 65535), from environment PARLEY_PORT");
    assert_refused(LOAD(NULL, "--port", "-1"), "invalid value '-1'");
    assert_refused(LOAD(NULL, "--port", "12x"), "from command line --port");
    assert_refused(LOAD(NULL, "--port="), "invalid value ''");
    assert_refused(LOAD(NULL, "--port", " 5"), "invalid value ' 5'");
    assert_refused(LOAD(NULL, "--port", "99999999999999999999"), "invalid value");
    assert_refused(LOAD(NULL, "--demo=maybe"), "(allowed: true or false)");
    assert_refused(LOAD(NULL, "--log-level", "loud"), "(allowed: error or warn or info or debug)");
    assert_refused(LOAD(NULL, "--high-water-bytes", "2000", "--max-queue-bytes", "1024"), "high_water_bytes");
    assert_refused(LOAD(NULL, "--jwt-secret", "short"), "jwt_secret: 5 bytes");
    assert_refused(LOAD(NULL, "--jwt-algorithm", "EdDSA"), "jwt_key_file");
}

static void texts_that_cannot_be_used_end_the_start_like_any_other(void **state)
{
    (void)state;
    assert_refused(LOAD(NULL, "--trusted-proxies", "10.0.0.0/99"),
                   "option trusted_proxies: invalid value '10.0.0.0/99' (allowed: addresses and networks such as "
                   "10.0.0.0/8, separated by commas), from command line --trusted-proxies");
    assert_refused(LOAD(NULL, "--redis", "http://x"), "option redis: invalid value 'http://x' (allowed: redis[s]://");
    assert_refused(LOAD(NULL, "--redis", "http://user:password@x"), "option redis: invalid value '…'");
    assert_refused(LOAD(NULL, "--cluster", "http://x"), "option cluster: invalid value 'http://x' (allowed: store, or");
    assert_refused(LOAD(NULL, "--cluster", "http://user:password@x"), "option cluster: invalid value '…'");
    assert_refused(LOAD(NULL, "--cluster-table", "a;b"), "option cluster_table: invalid value 'a;b' (allowed: letters");
    assert_refused(LOAD(NULL, "--cors-origin", "/(/"), "option cors_origin: invalid value '/(/'");
    assert_refused(LOAD(NULL, "--tls-cert", "/none", "--tls-key", "/none"), "option tls_cert: invalid value '/none'");
    assert_refused(LOAD(NULL, "--tls-cert", "/proc/self/stat"), "option tls_key: invalid value ''");
    assert_refused(LOAD(NULL, "--jwt-key-file", "/none"), "option jwt_key_file: invalid value '/none'");
    assert_refused(LOAD(NULL, "--recovery", "maybe"),
                   "option recovery: invalid value 'maybe' (allowed: true or false), from command line --recovery");
    struct load l = LOAD(NULL, "--recovery", "off", "--demo", "true");
    assert_int_equal(l.failed, 0);
    assert_false(l.config.io.recovery.enabled);
    assert_true(l.config.demo);
    kit_config_clear(&l.config);
}

static void a_host_is_a_numeric_address(void **state)
{
    static const char *const bad[] = {"", "example.com", "999.1.1.1", "127.1", "[::1]", "1.2.3.4:80", "::1%", " ::1"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(LOAD(NULL, "--host", bad[i]),
                       "(allowed: a numeric address or localhost), from command line --host");
}

static void a_path_is_a_route_of_its_own(void **state)
{
    static const char *const bad[] = {"",     "/",       "socket", "//",       "//x",      "/a b",    "/a?b",
                                      "/a#b", "/api/v1", "/ready", "/health/", "/metrics", "/demo/x", "/\xff"};
    static const char *const good[] = {"/parley", "/a/b/", "/apis", "/readyness"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(LOAD(NULL, "--path", bad[i]), "option path: invalid value '");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct load l = LOAD(NULL, "--path", good[i]);
        assert_string_equal(l.error, "");
        kit_config_clear(&l.config);
    }
}

static void an_origin_is_written_as_browsers_write_it(void **state)
{
    static const char *const bad[] = {",",
                                      "not an origin",
                                      "a.example",
                                      "https://",
                                      "https://a.example/",
                                      "https://a.example,b",
                                      "https://*.a.example",
                                      "*,https://a.example",
                                      "https://a https://b"};
    static const char *const good[] = {"*", "reflect", "null", "http://[::1]:8080",
                                       "https://a.example:8443,/^b$/, null,capacitor://localhost,file://"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(LOAD(NULL, "--cors-origin", bad[i]), "option cors_origin: invalid value '");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct load l = LOAD(NULL, "--cors-origin", good[i]);
        assert_string_equal(l.error, "");
        kit_config_clear(&l.config);
    }
}

static void a_file_may_have_lines_of_any_length(void **state)
{
    char directory[64], path[128];
    char *text = malloc(8192), issuer[1001];
    (void)state;
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/parley.conf", directory);
    memset(issuer, 'i', 1000);
    issuer[1000] = 0;
    /* Behind a mark and with the line ends of Windows, too. */
    snprintf(text, 8192, "\xef\xbb\xbfport = 1001\r\n# %s port = 1\r\n; %s\nport=2\n  jwt_issuer = %s ; %s\r\n\n[x",
             issuer, issuer, issuer, issuer);
    text[strlen(text) - 2] = 0;
    fixture_write(path, text);
    struct load l = LOAD(NULL, "--config", path);
    assert_string_equal(l.error, "");
    assert_int_equal(l.config.port, 2);
    assert_string_equal(l.config.jwt_issuer, issuer);
    kit_config_clear(&l.config);
    fixture_write(path, "port = 1\n\nport\n");
    assert_refused(LOAD(NULL, "--config", path), "parley.conf, line 3: expected `name = value`");
    fixture_write(path, "\nport = x");
    assert_refused(LOAD(NULL, "--config", path), "parley.conf, line 2");
    assert_refused(LOAD(NULL, "--config", directory), "Is a directory), from command line --config");
    assert_refused(LOAD(NULL, "--config", "/dev/zero"), "option config: invalid value '/dev/zero'");
    struct load empty = LOAD(NULL, "--config", "/dev/null");
    assert_string_equal(empty.error, "");
    kit_config_clear(&empty.config);
    free(text);
    fixture_remove(directory);
}

/* Kubernetes documentation, "Accessing the Service": environment variables of Services named parley and parley-redis.
 */
static void the_links_of_kubernetes_are_no_options(void **state)
{
    static const char *const links[] = {
        "SERVICE_HOST=10.0.0.7",
        "SERVICE_PORT=3000",
        "SERVICE_PORT_HTTP=3000",
        "PORT=tcp://10.0.0.7:3000",
        "PORT_3000_TCP=tcp://10.0.0.7:3000",
        "PORT_3000_TCP_PROTO=tcp",
        "PORT_3000_TCP_PORT=3000",
        "PORT_3000_TCP_ADDR=10.0.0.7",
        "PORT_53_UDP=udp://10.0.0.7:53",
        "REDIS_SERVICE_HOST=10.0.0.8",
        "REDIS_SERVICE_PORT=6379",
        "REDIS_PORT=tcp://10.0.0.8:6379",
        "REDIS_PORT_6379_TCP_ADDR=10.0.0.8",
    };
    static const char *const mistakes[] = {"PORT_X=1",         "PORT=3000x",    "SERVICE=1",
                                           "PORT_3000_TCPX=1", "PORT=http://x", "REDIS_PORT=6379"};
    char text[64], *environment[] = {text, NULL};
    (void)state;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        snprintf(text, sizeof text, "PARLEY_%s", links[i]);
        struct load l = load(environment, (const char *const[]){NULL});
        assert_string_equal(l.error, "");
        assert_int_equal(l.config.port, 3000); /* the default */
        assert_string_equal(l.config.redis, "");
        kit_config_clear(&l.config);
    }
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        snprintf(text, sizeof text, "PARLEY_%s", mistakes[i]);
        assert_refused(load(environment, (const char *const[]){NULL}), "option ");
    }
}

static void unknown_options_end_the_start_wherever_they_stand(void **state)
{
    char directory[64], path[128], typo[] = "PARLEY_PROT=1";
    char *environment[] = {typo, NULL};
    (void)state;
    assert_refused(LOAD(NULL, "--prot", "1"), "unknown option --prot");
    assert_refused(LOAD(NULL, "--no-port"), "unknown option --no-port");
    assert_refused(LOAD(NULL, "port"), "unexpected argument 'port'");
    assert_refused(LOAD(NULL, "--port"), "needs a value");
    assert_refused(load(environment, (const char *const[]){NULL}), "PARLEY_PROT");
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/c", directory);
    fixture_write(path, "prot = 1\n");
    assert_refused(LOAD(NULL, "--config", path), "unknown option prot");
    fixture_write(path, "port = 1\nwhat is this\n");
    assert_refused(LOAD(NULL, "--config", path), "line 2");
    fixture_write(path, "[server]\nport = 1\n");
    assert_refused(LOAD(NULL, "--config", path), "[server]");
    fixture_remove(directory);
    assert_refused(LOAD(NULL, "--config", path), "a readable file");
}

static void secrets_are_not_shown(void **state)
{
    char *text = NULL;
    size_t size;
    struct load l = LOAD(NULL, "--jwt-secret", "0123456789abcdef0123456789abcdef");
    (void)state;
    assert_int_equal(l.failed, 0);
    FILE *out = open_memstream(&text, &size);
    kit_config_print(&l.config, out);
    fclose(out);
    assert_null(strstr(text, "0123456789abcdef"));
    assert_non_null(strstr(text, "jwt_secret = (hidden) ; command line --jwt-secret\n"));
    assert_non_null(strstr(text, "port = 3000 ; default\n"));
    free(text);
    kit_config_clear(&l.config);
}

static void what_print_config_says_is_a_configuration_file(void **state)
{
    char directory[64], path[128];
    struct load l = LOAD(NULL, "--port", "1234", "--transports", "polling", "--trusted-proxies", "10.0.0.0/8");
    (void)state;
    assert_int_equal(l.failed, 0);
    fixture_directory(directory);
    snprintf(path, sizeof path, "%s/c", directory);
    FILE *out = fopen(path, "w");
    kit_config_print(&l.config, out);
    fclose(out);
    kit_config_clear(&l.config);
    l = LOAD(NULL, "--config", path);
    assert_string_equal(l.error, "");
    assert_int_equal(l.config.port, 1234);
    assert_int_equal(l.config.io.engine.transports, EIO_POLLING);
    assert_string_equal(l.config.io.http.trusted_proxies, "10.0.0.0/8");
    kit_config_clear(&l.config);
    fixture_remove(directory);
}

static void without_a_key_a_server_listens_on_loopback_only(void **state)
{
    static const char *const loopback[] = {"127.0.0.1",       "127.255.0.9",      "::1",
                                           "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost"};
    static const char *const other[] = {"0.0.0.0",  "::",      "10.0.0.1", "128.0.0.1",         "::2",
                                        "fe80::1",  "",        "example",  "127.0.0.1.example", "::ffff:10.0.0.1",
                                        "localhos", "127.0.0."};
    char error[512];
    (void)state;
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        struct load l = LOAD(NULL, "--host", loopback[i]);
        assert_int_equal(kit_config_check_server(&l.config, error, sizeof error), 0);
        kit_config_clear(&l.config);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct load l = LOAD(NULL, "--host", other[i]);
        if (kit_config_check_server(&l.config, error, sizeof error) != EIO_EINVAL) fail_msg("%s", other[i]);
        assert_non_null(strstr(error, "option host: "));
        assert_non_null(strstr(error, "command line --host"));
        kit_config_clear(&l.config);
        l = LOAD(NULL, "--host", other[i], "--jwt-key-file", "key");
        assert_int_equal(kit_config_check_server(&l.config, error, sizeof error), 0);
        kit_config_clear(&l.config);
    }
}

static char exposed[64];

static void note_exposed(const char *option)
{
    strcat(strcat(exposed, option), " ");
}

static void secrets_on_the_command_line_are_named(void **state)
{
    char secret[] = "PARLEY_JWT_SECRET=0123456789abcdef0123456789abcdef";
    char *environment[] = {secret, NULL};
    (void)state;
    exposed[0] = 0;
    struct load l = LOAD(NULL, "--jwt-secret", "0123456789abcdef0123456789abcdef", "--redis", "redis://:pass@host",
                         "--redis-sessions-key", "k");
    kit_config_each_exposed(&l.config, note_exposed);
    assert_string_equal(exposed, "redis redis_sessions_key jwt_secret ");
    kit_config_clear(&l.config);
    exposed[0] = 0;
    l = LOAD(environment, "--redis", "redis://host", "--jwt-key-file", "");
    kit_config_each_exposed(&l.config, note_exposed);
    assert_string_equal(exposed, "");
    kit_config_clear(&l.config);
}

/* Two modules with options of their own, one between them without. */
struct greet_config {
    bool loud;
    uint32_t greet_max;
};
struct name_config {
    const char *greet_name;
};
#define KIT_VALUES struct greet_config
static const struct kit_option greet_rows[] = {
    KIT_BOOL_ROW("loud", loud, "false", "Greeting", "greet loudly"),
    KIT_U32_ROW("greet_max", greet_max, "10", 1, 1000, "Greeting", "greetings a second"),
};
static const struct kit_option_set greet_options = KIT_OPTION_SET(greet_rows);
#undef KIT_VALUES
#define KIT_VALUES struct name_config
static const struct kit_option name_rows[] = {KIT_TEXT_ROW("greet_name", greet_name, "you", "Names", "whom to greet")};
static const struct kit_option_set name_options = KIT_OPTION_SET(name_rows);

static void a_modules_options_are_like_the_kits_own(void **state)
{
    static const struct kit_module greet = {.name = "greet", .options = &greet_options}, plain = {.name = "plain"},
                                   names = {.name = "names", .options = &name_options};
    static const struct kit_module *const modules[] = {&greet, &plain, &names, NULL};
    char *const environment[] = {(char[]){"PARLEY_GREET_NAME=ann"}, NULL};
    char *argv[] = {(char[]){"--loud"}, (char[]){"--greet-max"}, (char[]){"7"}}, error[256], *text = NULL;
    struct kit_command_line line = {3, argv, NULL, 0, NULL, 0};
    struct kit_config config;
    size_t size;
    (void)state;
    kit_config_init(&config, modules);
    assert_int_equal(kit_config_load(&config, &line, environment, error, sizeof error), 0);
    const struct greet_config *greeting = kit_config_values(&config, &greet_options);
    const struct name_config *name = kit_config_values(&config, &name_options);
    assert_true(greeting->loud);
    assert_int_equal(greeting->greet_max, 7);
    assert_string_equal(name->greet_name, "ann");
    assert_int_equal(config.port, 3000);
    FILE *out = open_memstream(&text, &size);
    kit_config_print(&config, out);
    kit_config_print_help(&config, out);
    fclose(out);
    assert_non_null(strstr(text, "greet_max = 7 ; command line --greet-max\n"));
    assert_non_null(strstr(text, "greet_name = ann ; environment PARLEY_GREET_NAME\n"));
    assert_non_null(strstr(text, "\nNames\n  --greet-name TEXT\n"));
    free(text);
    argv[2] = (char[]){"0"};
    kit_config_clear(&config);
    kit_config_init(&config, modules);
    assert_int_equal(kit_config_load(&config, &line, environment, error, sizeof error), EIO_EINVAL);
    assert_string_equal(error,
                        "option greet_max: invalid value '0' (allowed: 1 to 1000), from command line --greet-max");
    kit_config_clear(&config);
}

static void every_option_has_a_name_of_its_own(void **state)
{
    struct load l = load(NULL, (const char *const[]){NULL});
    struct kit_setting one, other;
    (void)state;
    for (size_t i = 0; (one = kit_setting_at(&l.config, i)).option; i++)
        for (size_t k = i + 1; (other = kit_setting_at(&l.config, k)).option; k++)
            assert_string_not_equal(one.option->name, other.option->name);
    kit_config_clear(&l.config);
}

static void a_factor_is_a_decimal_number_within_its_limits(void **state)
{
    static const char *const wrong[] = {"", "-1", "1e3", "nan", "inf", "0x1", "1,5", ".", "1.2.3", " 1", "1001"};
    char *text;
    size_t size;
    struct load l = LOAD(NULL, "--weight-table", "12.5", "--weight-learned", "0");
    (void)state;
    assert_int_equal(l.failed, 0);
    FILE *out = open_memstream(&text, &size);
    kit_config_print(&l.config, out);
    fclose(out);
    assert_non_null(strstr(text, "weight_table = 12.5 ; command line --weight-table\n"));
    assert_non_null(strstr(text, "weight_learned = 0 ; "));
    assert_non_null(strstr(text, "weight_words = 0.6 ; default\n"));
    free(text);
    kit_config_clear(&l.config);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(LOAD(NULL, "--weight-table", wrong[i]), "(allowed: 0 to 1000), from command line");
}

static void options_that_cannot_work_are_refused_at_the_start(void **state)
{
    static const char *const wrong[][6] = {
        {"--redis-sessions"},
        {"--adapter", "redis-streams"},
        {"--recovery", "--redis", "redis://localhost"},
        {"--recovery", "--redis", "redis://localhost", "--adapter", "redis-sharded"},
        {"--max-line-bytes", "20000"},
        {"--redis-cluster", "--redis", "redis://localhost", "--adapter", "redis-streams"},
        {"--redis-cluster", "--redis", "redis://a", "--redis-sentinels", "redis://b"},
        {"--cluster", "store"},
        {"--cluster", "postgresql://h", "--redis", "redis://localhost"},
        {"--cluster", "postgresql://h", "--recovery"},
        {"--cluster", "postgresql://h", "--redis-sessions"},
    };
    static const char *const right[][6] = {
        {"--redis-sessions", "--redis", "redis://localhost"},
        {"--recovery", "--redis", "redis://localhost", "--adapter", "redis-streams"},
        {"--recovery", "--workers", "2"},
        {"--max-line-bytes", "20000", "--max-head-bytes", "20000"},
        {"--max-head-bytes", "4096"},
        {"--cluster", "postgresql://h/d?sslmode=require", "--workers", "2"},
        {"--cluster", "store", "--store", "postgresql://h/d"},
        {"--redis-cluster", "--redis", "redis://localhost", "--adapter", "redis-sharded"},
    };
    char error[512];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct load l = load(NULL, wrong[i]);
        if (kit_config_check_server(&l.config, error, sizeof error) != EIO_EINVAL) fail_msg("%s", wrong[i][0]);
        assert_non_null(strstr(error, "allowed"));
        assert_non_null(strstr(error, ", from "));
        kit_config_clear(&l.config);
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct load l = load(NULL, right[i]);
        if (kit_config_check_server(&l.config, error, sizeof error)) fail_msg("%s", error);
        kit_config_clear(&l.config);
    }
    assert_refused(LOAD(NULL, "--jwt-key-file", "/dev/zero"), "not a directory or device");
    assert_refused(LOAD(NULL, "--tls-cert", "/"), "a readable regular file");
    assert_refused(LOAD(NULL, "--trusted-proxies", "10.0.0.0/8,,"), "separated by commas");
    assert_refused(LOAD(NULL, "--trusted-proxies", ",10.0.0.0/8"), "separated by commas");
}

static void the_documentation_is_up_to_date(void **state)
{
    static const char begin[] = "<!-- options: begin -->\n";
    char *table = NULL, *page = fixture_read_project("docs/configuration.md");
    size_t size;
    (void)state;
    struct kit_config config;
    FILE *out = open_memstream(&table, &size);
    kit_config_init(&config, app_modules);
    kit_config_print_markdown(&config, out);
    kit_config_clear(&config);
    fclose(out);
    char *start = strstr(page, begin), *end = strstr(page, "<!-- options: end -->");
    assert_non_null(start);
    assert_non_null(end);
    *end = 0;
    if (strcmp(start + strlen(begin), table))
        fail_msg("docs/configuration.md: replace the tables by the output of parley --print-options-markdown");
    free(table);
    free(page);
}

/* Each option with an address in it; %s is the host and the port. */
static const struct address_option {
    const char *name, *form;
    const char *taken; /* what it takes of what the others refuse, between blanks */
} address_options[] = {
    {"cors_origin", "https://%s", ""},
    {"cors_origin", "https://ok.example,https://%s", ""},
    {"frame_ancestors", "self https://%s", ""},
    {"redis", "redis://%s", ""},
    {"redis", "rediss://ok:1,rediss://u:p@%s/0", ""},
    {"redis_sentinels", "redis://%s", ""},
    {"hook_url", "https://%s/x", " h:0 "},
    {"jwks_url", "https://u:p@%s", " h:0 "},
    {"embeddings_url", "http://%s/v1", " h:0 "},
    {"public_url", "https://%s", " h:0 "},
    {"store", "postgresql://u:p@%s/db", " :80 [1.2.3.4] "},
    {"store", "postgresql://ok:1,%s/db", " :80 [1.2.3.4] "},
    {"cluster", "postgresql://%s/db", " :80 [1.2.3.4] "},
};

static struct load load_address(const struct address_option *option, const char *at)
{
    char word[256], *dash;
    int n = snprintf(word, sizeof word, "--%s=", option->name);
    while ((dash = strchr(word, '_'))) *dash = '-';
    const char *mark = strstr(option->form, "%s");
    snprintf(word + n, sizeof word - (size_t)n, "%.*s%s%s", (int)(mark - option->form), option->form, at, mark + 2);
    return LOAD(NULL, word);
}

static void hosts_and_ports_are_checked_wherever_an_address_stands(void **state)
{
    static const char *const nowhere[] = {"h:65536",   "h:99999999999999999999",
                                          "h:0",       "h:abc",
                                          "h:-1",      "h:+1",
                                          "h: 1",      "h:1:2",
                                          "[::1",      "[]",
                                          "[::g]",     "[::1]x",
                                          "[1.2.3.4]", "x%zz",
                                          "a b",       ":80",
                                          "::1"};
    static const char *const somewhere[] = {"h",         "h.example:1",      "h-1_x.example:65535",  "127.0.0.1:8080",
                                            "[::1]:443", "[2001:db8::1]:80", "xn--bcher-kva.example"};
    (void)state;
    for (size_t i = 0; i < sizeof address_options / sizeof address_options[0]; i++) {
        const struct address_option *option = &address_options[i];
        for (size_t j = 0; j < sizeof nowhere / sizeof nowhere[0]; j++) {
            char word[32], wanted[64];
            snprintf(word, sizeof word, " %s ", nowhere[j]);
            snprintf(wanted, sizeof wanted, "option %s: ", option->name);
            struct load l = load_address(option, nowhere[j]);
            bool is_refused = l.failed == EIO_EINVAL && strstr(l.error, wanted);
            if (is_refused == (strstr(option->taken, word) != NULL))
                fail_msg("%s with '%s': %d %s", option->form, nowhere[j], l.failed, l.error);
            kit_config_clear(&l.config);
        }
        for (size_t j = 0; j < sizeof somewhere / sizeof somewhere[0]; j++) {
            struct load l = load_address(option, somewhere[j]);
            if (l.failed) fail_msg("%s with '%s': %s", option->form, somewhere[j], l.error);
            kit_config_clear(&l.config);
        }
    }
}

static void postgresql_has_lists_sockets_and_defaults(void **state)
{
    static const char *const good[] = {"postgresql:///db", "postgresql://%2Frun%2Fpostgresql/db",
                                       "postgresql://a,b:1,[::1]:2/db", "postgresql:///db?host=a,/run/x&port=1,"};
    static const char *const bad[] = {"postgresql:///db?port=65536", "postgresql:///db?host=a%20b",
                                      "postgresql:///db?port=1,x"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct load l = LOAD(NULL, "--store", good[i]);
        if (l.failed) fail_msg("%s", l.error);
        kit_config_clear(&l.config);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(LOAD(NULL, "--store", bad[i]), "option store");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_possible_and_is_the_libraries_own),
        cmocka_unit_test(command_line_beats_environment_beats_file_beats_default),
        cmocka_unit_test(both_spellings_of_a_value_and_switches_are_understood),
        cmocka_unit_test(impossible_values_name_option_value_range_and_source),
        cmocka_unit_test(texts_that_cannot_be_used_end_the_start_like_any_other),
        cmocka_unit_test(a_host_is_a_numeric_address),
        cmocka_unit_test(a_path_is_a_route_of_its_own),
        cmocka_unit_test(an_origin_is_written_as_browsers_write_it),
        cmocka_unit_test(a_file_may_have_lines_of_any_length),
        cmocka_unit_test(the_links_of_kubernetes_are_no_options),
        cmocka_unit_test(unknown_options_end_the_start_wherever_they_stand),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(what_print_config_says_is_a_configuration_file),
        cmocka_unit_test(without_a_key_a_server_listens_on_loopback_only),
        cmocka_unit_test(secrets_on_the_command_line_are_named),
        cmocka_unit_test(a_modules_options_are_like_the_kits_own),
        cmocka_unit_test(every_option_has_a_name_of_its_own),
        cmocka_unit_test(a_factor_is_a_decimal_number_within_its_limits),
        cmocka_unit_test(options_that_cannot_work_are_refused_at_the_start),
        cmocka_unit_test(the_documentation_is_up_to_date),
        cmocka_unit_test(hosts_and_ports_are_checked_wherever_an_address_stands),
        cmocka_unit_test(postgresql_has_lists_sockets_and_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
