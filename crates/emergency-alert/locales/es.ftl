# Lo que las personas leen en una alerta, en español. La sintaxis es la de Fluent: https://projectfluent.org/fluent/guide/
#
# Cambie las palabras como quiera y vuelva a compilar; las pruebas dicen si falta algo. Los nombres después de $ se rellenan:
#   $known    yes si se conoce el número marcado, si no no
#   $number   el número marcado, o el número al que devolver la llamada
#   $duration un lapso de tiempo, como lo dicen los mensajes duration-...

## Marcas delante de un asunto, de un SMS y de cada línea de un simulacro

tag-drill = SIMULACRO
tag-test = PRUEBA
tag-unverified = NO VERIFICADA
tag-unverified-short = NO VERIFICADA
# $what es place (lugar), caller (quien llama) o both (ambos).
tag-now-verified = AHORA VERIFICADA
tag-differs =
    { $what ->
        [place] OTRA UBICACIÓN
        [caller] OTRO LLAMANTE
       *[both] OTRA UBICACIÓN Y OTRO LLAMANTE
    }
tag-updated =
    { $what ->
        [place] UBICACIÓN ACTUALIZADA
        [caller] LLAMANTE ACTUALIZADO
       *[both] UBICACIÓN Y LLAMANTE ACTUALIZADOS
    }
tag-other-report = OTRO LUGAR O LLAMANTE, VALE LO VERIFICADO
tag-late = CON RETRASO
tag-late-by = RETRASO { $duration }

## Qué pasó, en pocas palabras: asuntos, SMS, chat

call =
    { $known ->
        [yes] Llamada al { $number }
       *[no] Llamada de emergencia
    }
short-started = { call }
short-started-ended = { call }, ya terminada
short-started-ended-at = { call }, ya terminada a las { $time }
short-ended = { call } terminada
short-ended-after = { call } terminada tras { $duration }
short-event = { call }, evento "{ $kind }"
short-unknown-event = { call }, evento desconocido
short-unreadable = Llamada de emergencia, detalles ilegibles
short-drill = Simulacro, no es una llamada real

## Qué pasó, en una frase

headline-started =
    { $known ->
        [yes] Se ha marcado el { $number } desde Microsoft Teams.
       *[no] Se ha marcado un número de emergencia desde Microsoft Teams.
    }
headline-started-ended = { headline-started } La llamada ya ha terminado.
headline-started-ended-at = { headline-started } La llamada ya ha terminado, a las { $time }.
headline-ended =
    { $known ->
        [yes] La llamada al { $number } desde Microsoft Teams ha terminado.
       *[no] La llamada de emergencia desde Microsoft Teams ha terminado.
    }
headline-ended-after =
    { $known ->
        [yes] La llamada al { $number } desde Microsoft Teams ha terminado tras { $duration }.
       *[no] La llamada de emergencia desde Microsoft Teams ha terminado tras { $duration }.
    }
headline-event =
    { $known ->
        [yes] Microsoft Teams ha comunicado "{ $kind }" sobre una llamada al { $number }. Aquí no se conoce el significado de este evento.
       *[no] Microsoft Teams ha comunicado "{ $kind }" sobre una llamada de emergencia. Aquí no se conoce el significado de este evento.
    }
headline-unknown-event =
    { $known ->
        [yes] Microsoft Teams ha comunicado un evento sin tipo sobre una llamada al { $number }.
       *[no] Microsoft Teams ha comunicado un evento sin tipo sobre una llamada de emergencia.
    }
headline-unreadable = Se ha hecho una llamada de emergencia bajo la directiva { $policy }; los detalles no se han podido leer.
headline-drill = Esto es un simulacro. Nadie ha hecho una llamada de emergencia.

## Etiquetas

label-caller = Quién llama
label-account = Cuenta
label-callback = Devolver la llamada
label-international = Internacional
label-dialled = Número marcado
label-location = Ubicación
label-coordinates = Coordenadas
label-time = Hora
label-started = Comienzo
label-ended = Fin
label-duration = Duración
label-received = Recibido
label-policy = Directiva
label-tenant = Inquilino
label-call = Id. de llamada
labelled = { $label }: { $value }

## Detalles

unknown-caller = llamante no identificado
call-back = Devolver llamada al { $number }
no-callback = Sin número para devolver la llamada
confirm = Actúe como si fuera real; confirme con un número que ya tenga
no-location = SIN UBICACIÓN
not-given = NO INDICADO
not-readable = NO SE HA PODIDO LEER
under-policy = Directiva { $policy }
county = Condado: { $county }
house = Número de la calle { $number }
# Precede a lo que indica piso o sala cuando no lleva palabras.
unit = Piso/sala { $unit }

## Advertencias

warning-drill = SIMULACRO: este mensaje prueba el recorrido de una alerta. Solo tome nota de que ha llegado.
warning-test =
    { $known ->
        [yes] PRUEBA: el { $number } es un número de prueba.
       *[no] PRUEBA: esta llamada se hizo a un número de prueba.
    }
warning-unverified = NO VERIFICADA: falta una de las dos pruebas de que Microsoft envió esto. Actúe como si la llamada fuera real y confírmela con un número que ya tenga, no con el de este mensaje.
warning-unverified-test = NO VERIFICADA: falta una de las dos pruebas de que Microsoft envió esto.
warning-now-verified = AHORA VERIFICADA: lo comunicado antes sobre esta llamada no estaba verificado. Este mensaje sí.
warning-differs =
    { $what ->
        [place] OTRA UBICACIÓN: el aviso no verificado indicaba otra ubicación, o ninguna. Guíese por este mensaje.
        [caller] OTRO LLAMANTE: el aviso no verificado indicaba otra persona, o ninguna. Guíese por este mensaje.
       *[both] OTRA UBICACIÓN Y OTRO LLAMANTE: el aviso no verificado indicaba otros, o ninguno. Guíese por este mensaje.
    }
warning-updated =
    { $what ->
        [place] UBICACIÓN ACTUALIZADA: la ubicación de arriba es nueva. El mensaje anterior indicaba otra, o ninguna.
        [caller] LLAMANTE ACTUALIZADO: los datos de quien llama son nuevos. El mensaje anterior indicaba otros, o ninguno.
       *[both] UBICACIÓN Y LLAMANTE ACTUALIZADOS: la ubicación y los datos de quien llama son nuevos. El mensaje anterior indicaba otros, o ninguno.
    }
warning-other-report = NO VERIFICADA: un aviso indica otro lugar u otro llamante; el lugar y el llamante verificados siguen valiendo.
warning-no-content = DETALLES ILEGIBLES: la notificación no los traía. { ask }
warning-undecryptable = DETALLES ILEGIBLES: no se han podido descifrar. { ask }
warning-unparseable = DETALLES ILEGIBLES: no tienen la forma esperada. { ask }
ask = Mire el chat de seguridad de Teams o pregunte a quien administra la telefonía quién ha llamado.
warning-no-location = SIN UBICACIÓN: Teams no ha enviado ninguna ubicación para esta llamada.
warning-no-street = FALTA LA CALLE: la ubicación de arriba es todo lo que ha enviado Teams.
warning-late = CON RETRASO: esto ocurrió { $duration } antes de crearse este mensaje.
registered-location = La ubicación es la que ha enviado Teams. Puede ser la ubicación registrada de la persona y no el lugar donde está ahora.

## Letra pequeña

missing-validation-token = El token de validación falta o no se ha podido comprobar.
missing-client-state = El estado de cliente falta o no se conoce.
contradiction-tenant = La notificación indica otro inquilino: { $stated }
contradiction-policy = La notificación indica otra directiva: { $stated }

## Muchas llamadas no verificadas en un mensaje

combined-calls =
    { $count ->
        [one] { $count } llamada de emergencia
       *[other] { $count } llamadas de emergencia
    }
combined-headline =
    { $count ->
        [one] Se ha comunicado { $count } llamada de emergencia; no está verificada.
       *[other] Se han comunicado { $count } llamadas de emergencia; ninguna está verificada.
    }
combined-more = y { $count } más
combined = Han llegado tantas llamadas no verificadas a la vez que este mensaje las comunica juntas.

## Lo que en un simulacro ocupa el lugar de los datos de una llamada

drill-caller = (nombre de quien llama)
drill-account = (cuenta de quien llama)
drill-callback = (número al que devolver la llamada)
drill-street = (calle y número)
drill-unit = (piso y sala)
drill-city = (ciudad)

## Tiempo. $weekday es 1 para el lunes hasta 7, $month de 1 a 12; $time es la hora con su zona.

moment = { weekday }, { day } de { month } de { $year }, { $time }
day = { $day }
weekday =
    { $weekday ->
        [1] lunes
        [2] martes
        [3] miércoles
        [4] jueves
        [5] viernes
        [6] sábado
       *[7] domingo
    }
month =
    { $month ->
        [1] enero
        [2] febrero
        [3] marzo
        [4] abril
        [5] mayo
        [6] junio
        [7] julio
        [8] agosto
        [9] septiembre
        [10] octubre
        [11] noviembre
       *[12] diciembre
    }
at = Hora: { $time }
received-at = Recibido: { $time }
before = { $duration } antes de crearse este mensaje
ahead = { $duration } por delante del reloj de este sistema

duration-seconds =
    { $count ->
        [one] { $count } segundo
       *[other] { $count } segundos
    }
duration-minutes =
    { $count ->
        [one] { $count } minuto
       *[other] { $count } minutos
    }
duration-hours =
    { $count ->
        [one] { $count } hora
       *[other] { $count } horas
    }
duration-days =
    { $count ->
        [one] { $count } día
       *[other] { $count } días
    }
duration-pair = { $longer } { $shorter }
short-seconds = { $count } s
short-minutes = { $count } min
short-hours = { $count } h
short-days = { $count } d

## Números

decimal-mark = ,
coordinates = { $latitude }; { $longitude }
