<?php
// Asked once, before anything is measured: a PHP without opcache is not the peer we mean.
header('Content-Type: application/json');
$status = function_exists('opcache_get_status') ? opcache_get_status(true) : false;
echo json_encode([
	'enabled' => $status !== false && $status['opcache_enabled'],
	'scripts' => $status === false ? [] : array_map('basename', array_keys($status['scripts'])),
]);
