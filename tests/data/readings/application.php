<?php
// An application in PHP that tells how code in PHP would understand the path of a request: as JSON, {how: path}.
// Usage: php -S 127.0.0.1:PORT application.php

$target = $_SERVER['REQUEST_URI'];
// A query takes no part: what frameworks split off first is split off here.
$sent = explode('?', $target, 2)[0];

function resolved(string $path): string {
    $kept = [];
    foreach (explode('/', $path) as $segment) {
        if ($segment === '..') {
            array_pop($kept);
        } elseif ($segment !== '' && $segment !== '.') {
            $kept[] = $segment;
        }
    }
    return '/' . implode('/', $kept);
}

$parsed = parse_url($target, PHP_URL_PATH);
$whole = parse_url('http://application.example' . $target, PHP_URL_PATH);
$answer = [
    'parse_url' => $parsed,
    'parse_url, decoded' => is_string($parsed) ? rawurldecode($parsed) : null,
    'parse_url, decoded, resolved' => is_string($parsed) ? resolved(rawurldecode($parsed)) : null,
    'parse_url of the whole URL, decoded, resolved' => is_string($whole) ? resolved(urldecode($whole)) : null,
    'decoded, parse_url' => parse_url(rawurldecode($sent), PHP_URL_PATH),
    'decoded twice, resolved' => resolved(rawurldecode(rawurldecode($sent))),
    'without regard to case' => strtolower(resolved(rawurldecode($sent))),
    'backslashes as slashes' => resolved(str_replace('\\', '/', rawurldecode($sent))),
    'cut at NUL, as C does' => resolved(explode("\0", rawurldecode($sent), 2)[0]),
    'PATH_INFO' => $_SERVER['PATH_INFO'] ?? null,
    'SCRIPT_NAME' => $_SERVER['SCRIPT_NAME'] ?? null,
    'PHP_SELF' => $_SERVER['PHP_SELF'] ?? null,
];
$body = json_encode(array_filter($answer, 'is_string'), JSON_INVALID_UTF8_SUBSTITUTE);
header('X-From: the application');
header('Content-Type: application/json');
header('Content-Length: ' . strlen($body));
echo $body;
