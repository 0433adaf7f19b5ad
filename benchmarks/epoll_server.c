/* The reference: as little as a WebSocket server can do, in C over epoll, one thread.
 *
 *     epoll_server PORT echo    each message goes back; the replies of one read are one write
 *     epoll_server PORT fan     each message goes to every other connection: one write() for each
 *
 * It shows what the kernel's share of the work costs. It is no server to use: it knows one handshake key, takes
 * whole text frames of at most 64 KiB, checks no UTF-8, and gives up when a client does not read.
 */
#include "sockets.h"

#define READ_BYTES 65536
#define REST_BYTES 2048

typedef struct {
    unsigned char rest[REST_BYTES]; /* of a frame or a handshake that has not come whole */
    size_t size;
    int upgraded;
    int place; /* in `open_fds` */
} Client;

static Client *clients[MAX_FD];
static int open_fds[MAX_FD];
static int open_count;
static int fan;
static unsigned char input[READ_BYTES + REST_BYTES];
static unsigned char output[READ_BYTES + REST_BYTES];

static void drop(int fd) {
    Client *client = clients[fd];
    if (client->upgraded) {
        int last = open_fds[--open_count];
        open_fds[client->place] = last;
        clients[last]->place = client->place;
    }
    clients[fd] = NULL;
    free(client);
    close(fd);
}

static size_t upgrade(int fd, const unsigned char *data, size_t size) {
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " SAMPLE_ACCEPT "\r\n\r\n";
    const unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    if (memmem(data, size, SAMPLE_KEY, sizeof SAMPLE_KEY - 1) == NULL) die("a handshake with another key");
    clients[fd]->upgraded = 1;
    clients[fd]->place = open_count;
    open_fds[open_count++] = fd;
    write_all(fd, answer, sizeof answer - 1);
    return (size_t)(end - data) + 4;
}

static void unmask(unsigned char *to, const unsigned char *from, const unsigned char *mask, size_t size) {
    uint32_t word, key;
    size_t i = 0;
    memcpy(&key, mask, 4);
    for (; i + 4 <= size; i += 4) {
        memcpy(&word, from + i, 4);
        word ^= key;
        memcpy(to + i, &word, 4);
    }
    for (; i < size; i++) to[i] = from[i] ^ mask[i & 3];
}

static void send_to_others(int sender, size_t size) {
    for (int i = 0; i < open_count; i++)
        if (open_fds[i] != sender) write_all(open_fds[i], output, size);
}

/* Handles the whole frames in `data`; returns how many bytes they were, or -1 after a close frame. */
static ssize_t frames(int fd, const unsigned char *data, size_t size) {
    size_t at = 0, out = 0;
    while (size - at >= 6) {
        size_t length = data[at + 1] & 0x7f, head = 2;
        if (!(data[at + 1] & 0x80)) die("a frame without a mask");
        if ((data[at] & 0x0f) == 8) return -1;
        if (data[at] != 0x81 || length == 127) die("a frame of a kind that is not measured");
        if (length == 126) {
            if (size - at < 8) break;
            length = (size_t)data[at + 2] << 8 | data[at + 3];
            head = 4;
        }
        if (size - at < head + 4 + length) break;
        output[out] = 0x81;
        output[out + 1] = data[at + 1] & 0x7f;
        if (head == 4) memcpy(output + out + 2, data + at + 2, 2);
        unmask(output + out + head, data + at + head + 4, data + at + head, length);
        at += head + 4 + length;
        out += head + length;
        if (fan) {
            send_to_others(fd, out);
            out = 0;
        }
    }
    if (out) write_all(fd, output, out);
    return (ssize_t)at;
}

static void readable(int fd) {
    Client *client = clients[fd];
    memcpy(input, client->rest, client->size);
    ssize_t got = read(fd, input + client->size, READ_BYTES);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        drop(fd);
        return;
    }
    size_t size = client->size + (size_t)got, at = 0;
    if (!client->upgraded) at = upgrade(fd, input, size);
    if (client->upgraded) {
        ssize_t used = frames(fd, input + at, size - at);
        if (used < 0) {
            drop(fd);
            return;
        }
        at += (size_t)used;
    }
    client->size = size - at;
    if (client->size > REST_BYTES) die("more than %d bytes without a whole frame", REST_BYTES);
    memcpy(client->rest, input + at, client->size);
}

static void accept_all(int epoll, int listener) {
    for (int n = 0; n < EVENTS; n++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0 || fd >= MAX_FD) return;
        no_delay(fd);
        clients[fd] = calloc(1, sizeof(Client));
        watch(epoll, fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int count, char **words) {
    if (count != 3) die("usage: epoll_server PORT echo|fan");
    fan = strcmp(words[2], "fan") == 0;
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    int epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = loopback(atoi(words[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        die("cannot listen at port %s: %s", words[1], strerror(errno));
    watch(epoll, listener, EPOLLIN, EPOLL_CTL_ADD);
    struct epoll_event events[EVENTS];
    for (;;) { /* until the orchestrator's SIGTERM */
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                readable(events[i].data.fd);
        }
    }
}
