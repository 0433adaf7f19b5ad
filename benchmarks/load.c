/* The load generator: one process, one thread, epoll; every byte stays on 127.0.0.1.
 *
 *     load echo port=P connections=100 depth=1      messages go out, come back, are compared, go out again
 *     load flood port=P connections=100 depth=16    the same with one message in flight on each connection until the warm-up
 *                                                   is over and `depth` from then on; frames of AWS's error are counted as
 *                                                   refused, and a server that is silent is waited for
 *     load pace port=P connections=10 rate=200      a message each 1/rate seconds, on one connection after another, however
 *                                                   long the answers take; latencies are counted from when it was due
 *     load fan port=P connections=1000 senders=1    each message must reach every other connection before its
 *                                                   sender sends the next; depth=K keeps K of each sender in flight
 *     load connect port=P connections=5000          handshakes per second, `concurrency` of them in progress;
 *                                                   keep=0 also closes each connection, with the closing handshake
 *     load post port=P callers=100 connections=100  HTTP connections, kept open, post to @connections, each to one of so many
 *                                                   connections; a caller posts again when its message has arrived.
 *                                                   ids=0: there are no such connections, only the answers
 *     load idle port=P connections=1000             opens, prints, and holds until its standard input ends
 *
 * It prints one line of JSON: the rate, latencies, and the share of a CPU that itself and the process `server=PID`
 * with its children used in the measured time. A wrong byte, a closed connection or, but for `flood`, ten seconds of silence
 * end it with an error.
 */
#include "sockets.h"

#define READ_BYTES 262144
#define TEXT_BYTES 1000
#define FRAME_BYTES (TEXT_BYTES + 8)
#define REST_BYTES 2048
#define MAX_DEPTH 64
#define MAX_SENDERS 100
#define SEQUENCES 100 /* a message of `fan` carries two digits of sender and two of sequence */
#define SILENCE_MS 10000
#define LOOK_MS 100 /* flood: how often the time is looked at while nothing comes */
#define SETTLE_NS 300000000u /* a server may answer 101 before it has put the connection on its list */

#define ID_BYTES 64
#define MAX_GENERATIONS 8

enum { FREE, GREETING, OPEN, CLOSING, CALLING, TICKING };

typedef struct {
    int state, number, fd;
    unsigned sent, received; /* messages */
    uint64_t since;          /* the handshake's beginning */
    size_t size;
    int awaited;             /* post: of a caller, the answer and the message that have not come yet */
    char *id;                /* post: of a WebSocket, its connection id; of a caller, its request */
    size_t id_size;
    unsigned char rest[REST_BYTES];
} Connection;

typedef struct {
    uint64_t time, cpu, server_cpu, count; /* nanoseconds, but for count */
} Sample;

static struct {
    int port, connections, concurrency, depth, senders, callers, keep, ids, server, limit;
    double seconds, warmup, rate;
    const char *path, *text;
} option = {
    .connections = 100, .concurrency = 64, .depth = 1, .senders = 1, .callers = 100, .keep = 1, .ids = 1, .limit = 120,
    .seconds = 2, .warmup = 0.5, .rate = 200, .path = "/", .text = "{\"action\":\"echo\",\"data\":\"0123456789012345678901234567890123456\"}",
};

static const unsigned char MASK[4] = {0x37, 0xfa, 0x21, 0x3d};
static Connection *connections[MAX_FD]; /* by descriptor */
static int *descriptors;                /* by number */
static int epoll_fd, opening, opened, closed;
static unsigned char input[READ_BYTES + REST_BYTES];
static unsigned char frame[FRAME_BYTES * MAX_DEPTH]; /* the message, `depth` times */
static size_t text_size, frame_size;
static uint64_t *sent_at; /* echo: [number * depth + message % depth]; fan: [sender * SEQUENCES + sequence] */
static int *reached;      /* fan: how many connections a message has reached, in the same order */
static uint64_t count, turn; /* messages or deliveries; when the read at hand began */
static uint64_t refused;     /* flood: messages whose answer was AWS's error */
static unsigned in_flight;   /* echo: messages on each connection whose answer has not come */
static int is_patient;       /* flood: silence is not an error */

static void ignore_message(Connection *connection, const unsigned char *text, size_t size) {
    (void)connection, (void)text, (void)size;
}

static void ignore_read(Connection *connection) {
    (void)connection;
}

static void (*on_message)(Connection *, const unsigned char *, size_t) = ignore_message;
static void (*after_read)(Connection *) = ignore_read;

/* Latencies: 32 buckets in each power of two, in nanoseconds. */

static uint32_t latencies[64 * 32];

static void record(uint64_t nanoseconds) {
    if (nanoseconds < 32) nanoseconds = 32;
    int power = 63 - __builtin_clzll(nanoseconds);
    latencies[power * 32 + (int)((nanoseconds >> (power - 5)) & 31)]++;
}

static double percentile(double part) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < 64 * 32; i++) all += latencies[i];
    for (int i = 0; i < 64 * 32 && all; i++) {
        seen += latencies[i];
        if ((double)seen >= part * (double)all) return (double)((32ull + (unsigned)i % 32) << (i / 32 - 5)) / 1000;
    }
    return 0;
}

/* What was used: by us, by the server. */

static uint64_t own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000u;
}

static uint64_t process_cpu(int pid) {
    char name[64], text[1024];
    unsigned long long user = 0, system = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *file = fopen(name, "r");
    if (file == NULL) return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *fields = strrchr(text, ')'); /* the name before it may hold anything */
    if (fields == NULL) return 0;
    sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    return (user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* A process and what it has started, such as the workers of functions. */
static uint64_t tree_cpu(int pid, int depth) {
    char name[64];
    int child;
    uint64_t used = process_cpu(pid);
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = depth < MAX_GENERATIONS ? fopen(name, "r") : NULL;
    if (file == NULL) return used;
    while (fscanf(file, "%d", &child) == 1) used += tree_cpu(child, depth + 1);
    fclose(file);
    return used;
}

static Sample sample(uint64_t counted) {
    uint64_t server_cpu = option.server ? tree_cpu(option.server, 0) : 0;
    return (Sample){.time = now_ns(), .cpu = own_cpu(), .server_cpu = server_cpu, .count = counted};
}

static void report(Sample start, uint64_t counted) {
    Sample end = sample(counted);
    double wall = (double)(end.time - start.time), n = (double)(end.count - start.count);
    double server = (double)(end.server_cpu - start.server_cpu);
    if (n == 0 && !is_patient) die("nothing came in %.1f seconds", wall / 1e9);
    double each = n ? n : 1;
    printf("{\"count\": %.0f, \"seconds\": %.4f, \"rate\": %.2f, \"us\": %.4f, \"generator_cpu\": %.4f, "
           "\"server_cpu\": %.4f, \"server_us\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"refused\": %llu}\n",
           n, wall / 1e9, n / wall * 1e9, wall / each / 1e3, (double)(end.cpu - start.cpu) / wall, server / wall,
           server / each / 1e3, percentile(0.5), percentile(0.99), (unsigned long long)refused);
    fflush(stdout);
}

/* Frames. */

static size_t encode(unsigned char *to, const char *text, size_t size) {
    size_t head = 2;
    to[0] = 0x81;
    to[1] = (unsigned char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        to[2] = (unsigned char)(size >> 8);
        to[3] = (unsigned char)size;
        head = 4;
    }
    memcpy(to + head, MASK, 4);
    for (size_t i = 0; i < size; i++) to[head + 4 + i] = (unsigned char)text[i] ^ MASK[i & 3];
    return head + 4 + size;
}

static void build_message(void) {
    text_size = strlen(option.text);
    if (text_size > TEXT_BYTES) die("a text of more than %d bytes", TEXT_BYTES);
    frame_size = encode(frame, option.text, text_size);
    for (int i = 1; i < option.depth; i++) memcpy(frame + (size_t)i * frame_size, frame, frame_size);
}

/* Returns how many bytes whole frames took. */
static size_t decode(Connection *connection, const unsigned char *data, size_t size) {
    size_t at = 0;
    while (size - at >= 2) {
        size_t length = data[at + 1], head = 2;
        if (length >= 127) die("a frame that is masked or of more than 64 KiB");
        if (length == 126) {
            if (size - at < 4) break;
            length = (size_t)data[at + 2] << 8 | data[at + 3];
            head = 4;
        }
        if (size - at < head + length) break;
        if (data[at] == 0x88) die("the server closed connection %d", connection->number);
        if (data[at] == 0x81) on_message(connection, data + at + head, length);
        at += head + length;
    }
    return at;
}

/* Handshakes. */

static void begin(int number) {
    struct sockaddr_in address = loopback(option.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || fd >= MAX_FD) die("no descriptor for connection %d: %s", number, strerror(errno));
    Connection *connection = connections[fd] = calloc(1, sizeof(Connection));
    *connection = (Connection){.state = GREETING, .number = number, .fd = fd, .since = now_ns()};
    descriptors[number] = fd;
    /* Blocking, but over loopback the kernel answers at once. */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("cannot connect: %s", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    no_delay(fd);
    char request[512];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: " SAMPLE_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        option.path, option.port);
    write_all(fd, request, (size_t)size);
    watch(epoll_fd, fd, EPOLLIN, EPOLL_CTL_ADD);
    opening++;
}

static void forget(Connection *connection) {
    connections[connection->fd] = NULL;
    close(connection->fd);
    free(connection);
}

static size_t greeted(Connection *connection, const unsigned char *data, size_t size) {
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t head = (size_t)(end - data) + 4;
    if (memcmp(data, "HTTP/1.1 101", 12) != 0) die("the handshake was refused: %.40s", data);
    if (memmem(data, head, SAMPLE_ACCEPT, sizeof SAMPLE_ACCEPT - 1) == NULL) die("a wrong Sec-WebSocket-Accept");
    record(now_ns() - connection->since);
    opened++;
    if (option.keep) {
        connection->state = OPEN;
        opening--;
    } else {
        unsigned char goodbye[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
        connection->state = CLOSING;
        write_all(connection->fd, goodbye, sizeof goodbye);
    }
    return head;
}

static size_t answered(Connection *connection, const unsigned char *data, size_t size);
static size_t ticked(const unsigned char *data, size_t size);

static void readable(Connection *connection) {
    memcpy(input, connection->rest, connection->size);
    ssize_t got = read(connection->fd, input + connection->size, READ_BYTES);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (connection->state == CLOSING) { /* its answer, then its end */
        if (got <= 0) {
            forget(connection);
            opening--;
            closed++;
        }
        return;
    }
    if (got <= 0) die("connection %d ended: %s", connection->number, got ? strerror(errno) : "end of file");
    size_t size = connection->size + (size_t)got, at = 0;
    if (connection->state == GREETING) at = greeted(connection, input, size);
    if (connection->state == OPEN) at += decode(connection, input + at, size - at);
    if (connection->state == CALLING) at = answered(connection, input, size);
    if (connection->state == TICKING) at = ticked(input, size);
    connection->size = connection->state == CLOSING ? 0 : size - at;
    if (connection->size > REST_BYTES) die("more than %d bytes without a whole frame", REST_BYTES);
    memcpy(connection->rest, input + at, connection->size);
}

static void turn_once(void) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll_fd, events, EVENTS, is_patient ? LOOK_MS : SILENCE_MS);
    if (ready == 0 && !is_patient)
        die("%d seconds of silence; %d of %d connections open", SILENCE_MS / 1000, opened, option.connections);
    for (int i = 0; i < ready; i++) {
        Connection *connection = connections[events[i].data.fd];
        turn = now_ns();
        readable(connection);
        after_read(connection);
    }
}

static void open_all(void) {
    int started = 0;
    while (opened < option.connections || (!option.keep && closed < option.connections)) {
        while (started < option.connections && opening < option.concurrency) begin(started++);
        turn_once();
    }
}

/* Echo: what came back is counted, and as many go out when the read is done. */

static void echo_send(Connection *connection, unsigned messages) {
    if (!messages) return;
    uint64_t now = now_ns(), *ring = sent_at + (size_t)connection->number * (size_t)option.depth;
    for (unsigned i = 0; i < messages; i++) ring[connection->sent++ % (unsigned)option.depth] = now;
    write_all(connection->fd, frame, messages * frame_size);
}

static void echo_answered(Connection *connection) {
    uint64_t *ring = sent_at + (size_t)connection->number * (size_t)option.depth;
    if (connection->received == connection->sent) die("an echo too many for connection %d", connection->number);
    record(turn - ring[connection->received++ % (unsigned)option.depth]);
}

static void echo_message(Connection *connection, const unsigned char *text, size_t size) {
    if (size != text_size || memcmp(text, option.text, size) != 0) die("a wrong echo: %.*s", (int)size, text);
    echo_answered(connection);
    count++;
}

static void echo_answer(Connection *connection) {
    echo_send(connection, in_flight - (connection->sent - connection->received));
}

static void echo_start(void) {
    for (int i = 0; i < option.connections; i++) echo_answer(connections[descriptors[i]]);
}

static void flood_message(Connection *connection, const unsigned char *text, size_t size) {
    if (memmem(text, size, "\"message\":", 10) != NULL && memmem(text, size, "\"requestId\":", 12) != NULL) {
        echo_answered(connection);
        refused++;
    } else {
        echo_message(connection, text, size);
    }
}

/* Pace: a message when it is due, and not when the last one was answered, so that a slow server is not spared. */

static uint64_t ticks, first_tick;

static void pace_send(void) {
    Connection *connection = connections[descriptors[ticks % (unsigned)option.connections]];
    uint64_t *ring = sent_at + (size_t)connection->number * (size_t)option.depth;
    if (connection->sent - connection->received == (unsigned)option.depth)
        die("connection %d waits for %d answers", connection->number, option.depth);
    ring[connection->sent++ % (unsigned)option.depth] = first_tick + (uint64_t)((double)ticks * 1e9 / option.rate);
    ticks++;
    write_all(connection->fd, frame, frame_size);
}

static size_t ticked(const unsigned char *data, size_t size) {
    uint64_t due = 0;
    if (size == sizeof due) memcpy(&due, data, sizeof due);
    while (due--) pace_send();
    return size;
}

static void pace_start(void) {
    uint64_t every = (uint64_t)(1e9 / option.rate);
    struct timespec gap = {.tv_sec = (time_t)(every / 1000000000u), .tv_nsec = (long)(every % 1000000000u)};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    connections[fd] = calloc(1, sizeof(Connection));
    *connections[fd] = (Connection){.state = TICKING, .fd = fd};
    timerfd_settime(fd, 0, &(struct itimerspec){.it_interval = gap, .it_value = gap}, NULL);
    first_tick = now_ns() + every;
    watch(epoll_fd, fd, EPOLLIN, EPOLL_CTL_ADD);
}

/* Fan: a message is its sender's number and its sequence, two digits each, and padding. */

static void fan_send(int sender) {
    Connection *connection = connections[descriptors[sender]];
    unsigned sequence = connection->sent++ % SEQUENCES;
    char text[TEXT_BYTES], number[5];
    unsigned char one[FRAME_BYTES];
    memcpy(text, option.text, text_size);
    snprintf(number, sizeof number, "%02u%02u", (unsigned)sender % 100, sequence);
    memcpy(text, number, 4);
    size_t at = (size_t)sender * SEQUENCES + sequence;
    reached[at] = 0;
    sent_at[at] = now_ns();
    write_all(connection->fd, one, encode(one, text, text_size));
}

static void fan_message(Connection *connection, const unsigned char *text, size_t size) {
    (void)connection;
    if (size != text_size || memcmp(text + 4, option.text + 4, size - 4) != 0) die("a wrong message");
    size_t at = (size_t)((text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0'));
    if (at >= (size_t)option.senders * SEQUENCES) die("a message of nobody");
    count++;
    if (++reached[at] == option.connections - 1) {
        record(now_ns() - sent_at[at]);
        fan_send((int)(at / SEQUENCES));
    }
}

static void fan_start(void) {
    for (int sender = 0; sender < option.senders; sender++)
        for (int i = 0; i < option.depth; i++) fan_send(sender);
}

/* Post: a caller posts when its answer and its message, which begins with its number, have come. */

static Connection **callers; /* by number */
static int known;            /* connections whose id is known */

static void post(Connection *caller) {
    caller->awaited = 1 + (option.ids != 0);
    caller->since = now_ns();
    write_all(caller->fd, caller->id, caller->id_size);
}

static void post_arrived(Connection *caller) {
    if (--caller->awaited < 0) die("an answer or a message too many for caller %d", caller->number);
    if (caller->awaited) return;
    record(now_ns() - caller->since);
    count++;
    post(caller);
}

static size_t answered(Connection *connection, const unsigned char *data, size_t size) {
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t head = (size_t)(end - data) + 4;
    if (memcmp(data, "HTTP/1.1 200", 12) != 0) die("a call was answered with %.40s", data);
    char text[REST_BYTES + 1] = {0};
    memcpy(text, data, head < REST_BYTES ? head : REST_BYTES);
    if (strcasestr(text, "\r\ncontent-length: 0\r\n") == NULL) die("an answer that is not empty: %.300s", text);
    post_arrived(connection);
    return head;
}

static void post_id(Connection *connection, const unsigned char *text, size_t size) {
    if (connection->id != NULL || size > ID_BYTES) die("no connection id: %.*s", (int)size, text);
    connection->id = calloc(1, 3 * size + 1);
    for (size_t i = 0; i < size; i++) sprintf(strchr(connection->id, 0), text[i] == '=' ? "%%3D" : "%c", text[i]);
    known++;
}

static void post_message(Connection *connection, const unsigned char *text, size_t size) {
    int number = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
    if (size != text_size || memcmp(text + 4, option.text + 4, size - 4) != 0) die("a wrong message");
    if (number < 0 || number >= option.callers || number % option.connections != connection->number)
        die("a message that is not for connection %d", connection->number);
    post_arrived(callers[number]);
}

static void learn_ids(void) {
    unsigned char ask[FRAME_BYTES];
    size_t size = encode(ask, "id", 2);
    on_message = post_id;
    open_all();
    for (int i = 0; i < option.connections; i++) write_all(descriptors[i], ask, size);
    while (known < option.connections) turn_once();
    on_message = post_message;
}

static Connection *new_caller(int number, const char *id) {
    struct sockaddr_in address = loopback(option.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || fd >= MAX_FD) die("no descriptor for caller %d: %s", number, strerror(errno));
    Connection *caller = connections[fd] = calloc(1, sizeof(Connection));
    *caller = (Connection){.state = CALLING, .number = number, .fd = fd, .id = malloc(TEXT_BYTES + 1000)};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("cannot connect: %s", strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    no_delay(fd);
    caller->id_size = (size_t)sprintf(
        caller->id,
        "POST %s/@connections/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nAccept-Encoding: identity\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n%04d%s",
        option.path, id, option.port, text_size, number, option.text + 4);
    watch(epoll_fd, fd, EPOLLIN, EPOLL_CTL_ADD);
    return caller;
}

/* Modes. */

static void warm_up(void) {
    uint64_t end_at = now_ns() + (uint64_t)(option.warmup * 1e9);
    while (now_ns() < end_at) turn_once();
}

static void measure(void) {
    memset(latencies, 0, sizeof latencies);
    refused = 0;
    Sample first = sample(count);
    uint64_t end_at = first.time + (uint64_t)(option.seconds * 1e9);
    while (now_ns() < end_at) turn_once();
    report(first, count);
}

static void start_traffic(void (*start)(void), size_t slots) {
    struct timespec settle = {.tv_nsec = SETTLE_NS};
    sent_at = calloc(slots, sizeof *sent_at);
    reached = calloc(slots, sizeof *reached);
    open_all();
    nanosleep(&settle, NULL);
    start();
    warm_up();
}

static void run_traffic(void (*start)(void), size_t slots) {
    start_traffic(start, slots);
    measure();
}

static void run_echo(void) {
    on_message = echo_message;
    after_read = echo_answer;
    in_flight = (unsigned)option.depth;
    run_traffic(echo_start, (size_t)option.connections * (size_t)option.depth);
}

static void run_flood(void) {
    on_message = flood_message;
    after_read = echo_answer;
    is_patient = in_flight = 1;
    start_traffic(echo_start, (size_t)option.connections * (size_t)option.depth);
    in_flight = (unsigned)option.depth;
    echo_start();
    measure();
}

static void run_pace(void) {
    on_message = echo_message;
    run_traffic(pace_start, (size_t)option.connections * (size_t)option.depth);
}

static void run_fan(void) {
    on_message = fan_message;
    run_traffic(fan_start, MAX_SENDERS * SEQUENCES);
}

static void run_post(void) {
    callers = calloc((size_t)option.callers, sizeof *callers);
    if (option.ids) learn_ids();
    for (int i = 0; i < option.callers; i++) {
        int target = i % option.connections;
        callers[i] = new_caller(i, option.ids ? connections[descriptors[target]]->id : "R0oXAdfD0kwCH6w%3D");
    }
    for (int i = 0; i < option.callers; i++) post(callers[i]);
    warm_up();
    measure();
}

static void run_connect(void) {
    Sample first = sample(0);
    open_all();
    report(first, (uint64_t)opened);
}

static void run_idle(void) {
    char ignored[64];
    open_all();
    printf("{\"count\": %d}\n", opened);
    fflush(stdout);
    while (read(0, ignored, sizeof ignored) > 0) {
    }
}

static void parse(const char *word) {
    const char *value = strchr(word, '=');
    if (value == NULL) die("%s: expected name=value", word);
    size_t size = (size_t)(value++ - word);
#define IS(name) (size == sizeof(name) - 1 && memcmp(word, name, size) == 0)
    if (IS("port")) option.port = atoi(value);
    else if (IS("path")) option.path = value;
    else if (IS("text")) option.text = value;
    else if (IS("connections")) option.connections = atoi(value);
    else if (IS("concurrency")) option.concurrency = atoi(value);
    else if (IS("depth")) option.depth = atoi(value);
    else if (IS("senders")) option.senders = atoi(value);
    else if (IS("keep")) option.keep = atoi(value);
    else if (IS("callers")) option.callers = atoi(value);
    else if (IS("ids")) option.ids = atoi(value);
    else if (IS("server")) option.server = atoi(value);
    else if (IS("limit")) option.limit = atoi(value);
    else if (IS("seconds")) option.seconds = atof(value);
    else if (IS("rate")) option.rate = atof(value);
    else if (IS("warmup")) option.warmup = atof(value);
    else die("unknown option %s", word);
#undef IS
}

static void check(void) {
    if (option.connections < 1 || option.connections > 28000) die("1 to 28000 connections");
    if (option.depth < 1 || option.depth > MAX_DEPTH) die("a depth of 1 to %d", MAX_DEPTH);
    if (option.senders < 1 || option.senders > MAX_SENDERS || option.senders > option.connections)
        die("1 to %d senders, and no more than connections", MAX_SENDERS);
    if (option.callers < 1 || option.callers > 9999) die("1 to 9999 callers");
    if (option.rate < 1 || option.rate > 100000) die("a rate of 1 to 100000");
    if (strlen(option.text) < 8) die("a text of 8 bytes or more");
}

int main(int words, char **word) {
    if (words < 2) die("usage: load echo|flood|pace|fan|connect|post|idle name=value...");
    for (int i = 2; i < words; i++) parse(word[i]);
    check();
    alarm((unsigned)option.limit);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    epoll_fd = epoll_create1(0);
    descriptors = calloc((size_t)option.connections, sizeof *descriptors);
    build_message();
    if (strcmp(word[1], "echo") == 0) run_echo();
    else if (strcmp(word[1], "flood") == 0) run_flood();
    else if (strcmp(word[1], "pace") == 0) run_pace();
    else if (strcmp(word[1], "fan") == 0) run_fan();
    else if (strcmp(word[1], "connect") == 0) run_connect();
    else if (strcmp(word[1], "post") == 0) run_post();
    else if (strcmp(word[1], "idle") == 0) run_idle();
    else die("unknown mode %s", word[1]);
    return 0;
}
